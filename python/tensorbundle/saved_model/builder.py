"""Building a SavedModel: meta graphs, their variables and their assets become the files of a directory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tensorbundle import errors, files, paths
from tensorbundle.objects import GRAPH_KEY
from tensorbundle.protos import messages
from tensorbundle.protos.convert import serialize
from tensorbundle.protos.limits import MOST_BYTES
from tensorbundle.protos.text import print_text
from tensorbundle.saved_model import constants
from tensorbundle.saved_model.asset_files import AssetFiles, name_assets
from tensorbundle.saved_model.fingerprint import make_fingerprint
from tensorbundle.saved_model.meta_graphs import MetaGraphOptions, prepare
from tensorbundle.saved_model.stored import StoredTensor, describe
from tensorbundle.writer import save

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

# A serialized message as a field of another one: the field's number and its length before it.
_FIELD_BYTES = 6


class Builder:
    """Builds a SavedModel as TensorFlow's builder does: first a meta graph and the variables, then further meta graphs.

    The variables and the assets are written as they are given, ``saved_model.pb`` last, by :meth:`save`: until then no
    loader takes the directory for a SavedModel. A call that raises leaves the directory as it was, and the builder too.
    Nothing is ever computed: a graph is written as it is, with nodes that restore its variables if it has none.

    Args:
        export_dir: An empty directory, or one that is made.
        durable: True: what a call has written survives a power cut. False: it survives the end of the process.
        as_save: Other options of :func:`tensorbundle.save`, for the variables.

    Raises:
        BuilderError: There is something in the directory.
        UnimplementedError: It is a URL.
        OSError: It can't be made.

    Example:
        >>> builder = tb.saved_model.Builder("export/1")
        >>> signature = tb.saved_model.predict_signature_def({"x": x}, {"y": y})
        >>> builder.add_meta_graph_and_variables(graph, {"w": w}, ["serve"], {"serving_default": signature})
        >>> builder.save()
        'export/1/saved_model.pb'
    """

    def __init__(self, export_dir: str | os.PathLike[str], *, durable: bool = True, **as_save: Any) -> None:
        self._export_dir = os.fsdecode(export_dir)
        paths.refuse_url_to_write(self._export_dir)
        self._options: dict[str, Any] = {**as_save, "durable": durable}
        self._made = files.make_directories(self._export_dir, durable=durable)
        if os.listdir(self._export_dir):
            raise errors.BuilderError(
                f"export directory {self._export_dir!r} already exists, and isn't empty", path=self._export_dir
            )
        self._assets = AssetFiles(self._export_dir, durable=durable)
        self._saved_model = messages.SavedModel(saved_model_schema_version=constants.SAVED_MODEL_SCHEMA_VERSION)
        self._size = 0
        # None before they are saved.
        self._stored: dict[str, StoredTensor] | None = None
        self._record: bytes | None = None

    def add_meta_graph_and_variables(  # noqa: PLR0917 - TensorFlow's signature
        self,
        graph: Any,
        variables: Mapping[str, ArrayLike],
        tags: Iterable[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets: Mapping[str, str | os.PathLike[str]] | None = None,
        main_op: str | None = None,
        clear_devices: bool = False,
        strip_default_attrs: bool = False,
    ) -> None:
        """Adds the first meta graph, and writes the variables that all of them share.

        Args:
            graph: A ``GraphDef``, or a whole ``MetaGraphDef``, of which everything but the tags is kept; messages of
                this package, of TensorFlow or, for a ``GraphDef``, bytes. Without a saver that can read the variables
                it gets one, which restores each variable from the tensor of its name.
            variables: Every variable by its name, as a mapping or an opened checkpoint; all are saved, whether this
                graph has them or not. A meta graph that brings a saver or objects along is restored from the keys that
                these know, as the SavedModel has them that it came from.
            tags: What loaders choose the meta graph by.
            signature_def_map: ``SignatureDef`` messages by their keys, beside those of a ``MetaGraphDef``.
            assets: Files by the names of the string constants that hold their paths, beside those of a
                ``MetaGraphDef``. They are copied to ``assets/`` under their base names; another file of a name that is
                taken gets ``_1``, and so on, behind it. Of what several meta graphs call the same, the first is kept.
            main_op: Name of the operation that loaders run after restoring.
            clear_devices: Forget on which devices nodes are to run.
            strip_default_attrs: Leave out attributes that have their default values, for older readers.

        Raises:
            BuilderError: It is not the first meta graph; a signature is incomplete or names what the graph lacks; a
                variable is missing, or has another type or shape; there is a main operation already.
            ReservedKeyError: A signature has a key that only builders use.
            DataLossError: Bytes that are no message.
            LimitError: ``saved_model.pb`` would have more than 2 GiB.
            TypeError, ValueError: As :func:`tensorbundle.save`, or something that is none of the above.
            OSError: The system refuses.
        """
        if self._stored is not None:
            raise errors.BuilderError("the variables have been saved already: use add_meta_graph()")
        tensors, stored = describe(variables)
        record = _object_record(tensors)
        options = MetaGraphOptions(tags, signature_def_map, main_op, clear_devices, strip_default_attrs)
        with self._adding(graph, options, assets, stored, record):
            self._save_variables(tensors)
        self._stored, self._record = stored, record

    def add_meta_graph(  # noqa: PLR0917 - TensorFlow's signature
        self,
        graph: Any,
        tags: Iterable[str],
        signature_def_map: Mapping[str, Any] | None = None,
        assets: Mapping[str, str | os.PathLike[str]] | None = None,
        main_op: str | None = None,
        clear_devices: bool = False,
        strip_default_attrs: bool = False,
    ) -> None:
        """Adds a further meta graph, over the variables that have been saved.

        Args, and errors, are those of :meth:`add_meta_graph_and_variables`, which must come first.
        """
        if self._stored is None:
            raise errors.BuilderError("no variables have been saved yet: use add_meta_graph_and_variables() first")
        options = MetaGraphOptions(tags, signature_def_map, main_op, clear_devices, strip_default_attrs)
        with self._adding(graph, options, assets, self._stored, self._record):
            pass

    def save(self, as_text: bool = False) -> str:
        """Writes ``saved_model.pb``, at one stroke, and with it the directory becomes a SavedModel.

        A model with objects, as of TensorFlow 2, gets its ``fingerprint.pb`` before.

        Args:
            as_text: Write ``saved_model.pbtxt`` instead, which people can read.

        Returns:
            Path of the file.

        Raises:
            BuilderError: No meta graph has been added.
            OSError: It can't be written.
        """
        if not self._saved_model.meta_graphs:
            raise errors.BuilderError("no meta graph has been added: use add_meta_graph_and_variables() first")
        names = (constants.SAVED_MODEL_FILENAME_PB, constants.SAVED_MODEL_FILENAME_PBTXT)
        path, other = (self._path(name) for name in (reversed(names) if as_text else names))
        content = print_text(self._saved_model).encode() if as_text else serialize(self._saved_model)
        fingerprint = self._fingerprint()
        if fingerprint is not None:
            self._write(self._path(constants.FINGERPRINT_FILENAME), fingerprint)
        self._write(path, content)
        # Of an earlier call. Of two files loaders take the binary one, whichever is newer.
        _remove(other)
        if fingerprint is None:
            _remove(self._path(constants.FINGERPRINT_FILENAME))
        return path

    def abandon(self) -> None:
        """Removes all that has been written, also by :meth:`save`, and the directories that were made.

        May be called again.
        """
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._export_dir):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    _remove(entry.path)
        for directory in self._made:
            os.rmdir(directory)
        self._made = []

    @contextlib.contextmanager
    def _adding(
        self,
        graph: Any,
        options: MetaGraphOptions,
        assets: Mapping[str, Any] | None,
        stored: Mapping[str, StoredTensor],
        record: bytes | None,
    ) -> Iterator[None]:
        """Copies the assets, and adds the meta graph if the block succeeds."""
        names, sources = name_assets({} if assets is None else assets)
        meta_graph, listed = prepare(graph, options, names, stored, record)
        self._assets.check(listed, sources)
        size = self._size + len(serialize(meta_graph)) + _FIELD_BYTES
        if size > MOST_BYTES:
            raise errors.LimitError(f"saved_model.pb would take {size} bytes, more than protobuf's {MOST_BYTES}")
        with self._assets.copied(sources):
            yield
        self._saved_model.meta_graphs.append(meta_graph)
        self._size = size

    def _path(self, *names: str) -> str:
        return os.path.join(self._export_dir, *names)

    def _write(self, path: str, content: bytes) -> None:
        files.replace(path, content, durable=self._options["durable"])

    def _fingerprint(self) -> bytes | None:
        """The content of ``fingerprint.pb``, which TensorFlow gives to a model that it loads as objects."""
        meta_graph, *more = self._saved_model.meta_graphs
        if more or not meta_graph.object_graph_def.nodes:
            return None
        with open(self._path(constants.VARIABLES_DIRECTORY, f"{constants.VARIABLES_FILENAME}.index"), "rb") as index:
            content = index.read()
        try:
            return serialize(make_fingerprint(self._saved_model, content))
        except ValueError:  # Functions are named as no TensorFlow names them, and then it has no hash for them.
            return None

    def _save_variables(self, tensors: Mapping[str, ArrayLike]) -> None:
        if tensors:
            path = self._path(constants.VARIABLES_DIRECTORY, constants.VARIABLES_FILENAME)
            save(path, tensors, **self._options)
        else:
            os.mkdir(self._path(constants.VARIABLES_DIRECTORY))


def _object_record(tensors: Mapping[str, Any]) -> bytes | None:
    """What the variables say of the objects that they belong to, if they do."""
    if GRAPH_KEY not in tensors:
        return None
    record = tensors[GRAPH_KEY][()]
    if not isinstance(record, bytes):
        raise errors.BuilderError(f"{GRAPH_KEY!r} holds a record, one string of bytes", tensor=GRAPH_KEY)
    return record


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


Builder.__module__ = "tensorbundle.saved_model"  # Where users find it.
#: TensorFlow's other name of it.
SavedModelBuilder = Builder
