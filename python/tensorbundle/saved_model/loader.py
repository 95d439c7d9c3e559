"""Loading a SavedModel: its graph as messages, its variables as arrays. Nothing of it is run."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tensorbundle import errors, files, paths
from tensorbundle.checkpoint import Checkpoint
from tensorbundle.saved_model import assets, checks, main_ops, names, objects, records, scoping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import TypeVar

    from numpy.typing import NDArray
    from typing_extensions import Self

    from tensorbundle.graph import ObjectGraph

    _T = TypeVar("_T")

_MAX_LISTED = 20


def load(
    export_dir: str | os.PathLike[str], tags: Iterable[str] | None = None, *, import_scope: str | None = None
) -> SavedModel:
    """Loads the graph of a SavedModel, without a session and without TensorFlow.

    Args:
        export_dir: The directory: ``saved_model.pb`` in it is read, or if there is none ``saved_model.pbtxt``.
        tags: The set of tags of the meta graph wanted, all of them, in any order; ``[]`` for one without tags. None:
            the only one that there is.
        import_scope: What to put before the names of nodes and tensors, with a ``/``: in the graph, signatures, assets,
            variables and collections. Keys of the checkpoint stay as they are.

    Returns:
        A :class:`SavedModel`. Its graph is parsed, and its checkpoint opened, when they are first needed; damage in
        them is said then.

    Raises:
        FileNotFoundError: There is no SavedModel; the message says what is there instead.
        TagsNotFoundError: No meta graph has these tags, or ``tags`` is None and there are several. The message lists
            the tag sets that there are.
        DataLossError: The file is damaged, or has 2 GiB or more.
        UnimplementedError: It is a ``saved_model.cpb``, or a URL.
        TypeError, ValueError: ``tags`` is a single string, or ``import_scope`` can't begin a name.

    Example:
        >>> with tb.saved_model.load("export/1", ["serve"]) as model:
        ...     kernel = model.variable("encoder/layer_0/kernel")
        ...     inputs = model.signatures["serving_default"].inputs
    """
    wanted = None if tags is None else _tag_set(tags)
    scope = scoping.checked(import_scope)
    directory = _directory(os.fsdecode(export_dir))
    found = records.read(directory)
    return SavedModel(directory, found, _choose(found, wanted), scope)


def load_all(export_dir: str | os.PathLike[str]) -> list[SavedModel]:
    """Every meta graph of a SavedModel, in the order of the file; else as :func:`load`."""
    directory = _directory(os.fsdecode(export_dir))
    found = records.read(directory)
    return [SavedModel(directory, found, each, "") for each in found.meta_graphs]


def _directory(given: str) -> str:
    if not given:
        raise FileNotFoundError(errno.ENOENT, "no SavedModel has an empty path", given)
    if not files.is_directory(given):
        paths.refuse_url(given, given)
    return files.absolute(given)


def _tag_set(tags: Iterable[str]) -> frozenset[str]:
    if isinstance(tags, (str, bytes)):
        raise TypeError(f"tags must be an iterable of tags, not a single one: give [{tags!r}]")
    wanted = frozenset(tags)
    for tag in wanted:
        if not isinstance(tag, str):
            raise TypeError(f"tags are str, not {type(tag).__name__}: {tag!r}")
    return wanted


def _choose(found: records.Records, wanted: frozenset[str] | None) -> records.MetaGraph:
    if wanted is None and len(found.meta_graphs) == 1:
        return found.meta_graphs[0]
    for meta_graph in found.meta_graphs:
        if meta_graph.tags == wanted:
            return meta_graph
    raise errors.TagsNotFoundError(_not_chosen(found, wanted), path=found.path)


def _not_chosen(found: records.Records, wanted: frozenset[str] | None) -> str:
    if not found.meta_graphs:
        return f"{found.path!r} has no MetaGraphDef"
    sets = [str(sorted(meta_graph.tags)) for meta_graph in found.meta_graphs[:_MAX_LISTED]]
    more = len(found.meta_graphs) - len(sets)
    available = ", ".join(sets) + (f" and {more} more" if more else "")
    if wanted is None:
        count = len(found.meta_graphs)
        return f"{found.path!r} has {count} MetaGraphDefs: tags must say which; available: {available}"
    return (
        f"MetaGraphDef associated with tags {sorted(wanted)} could not be found in {found.path!r}; "
        f"available: {available}"
    )


class Signatures(Mapping[str, Any]):
    """The ``SignatureDef`` messages of a graph by their keys, in the order of the keys."""

    __slots__ = ("_messages", "_where")

    def __init__(self, messages: Mapping[str, Any], where: str) -> None:
        self._messages = {key: messages[key] for key in sorted(messages)}
        self._where = where

    def __getitem__(self, key: str) -> Any:
        try:
            return self._messages[key]
        except KeyError:
            listed = ", ".join(map(repr, self._messages)) or "none"
            raise errors.NotFoundError(
                f"no signature {key!r} in {self._where!r}; there are: {listed}", path=self._where
            ) from None

    def __contains__(self, key: object) -> bool:
        return key in self._messages

    def __iter__(self) -> Iterator[str]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __repr__(self) -> str:
        return f"<signatures of {self._where!r}: {', '.join(self) or 'none'}>"


class SavedModel:
    """One meta graph of a SavedModel, and the variables and assets that it shares with the others.

    Made by :func:`load`. It can't be changed; the messages that it gives are its own, to be copied by whoever wants to
    change them. Threads may share it. ``close()``, and the end of a ``with`` block, close its checkpoint; arrays and
    messages outlive it.
    """

    __slots__ = ("__weakref__", "_chosen", "_closed", "_found", "_lock", "_made", "_path", "_scope")

    def __init__(self, path: str, found: records.Records, chosen: records.MetaGraph, scope: str) -> None:
        self._path = path
        self._found = found
        self._chosen = chosen
        self._scope = scope
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._closed = False

    # The graph.

    @property
    def path(self) -> str:
        """The absolute path of the directory."""
        return self._path

    @property
    def file(self) -> str:
        """The absolute path of the file that holds the graph."""
        return self._found.path

    @property
    def schema_version(self) -> int:
        """The version that the file says it has: 1 of those that TensorFlow writes."""
        return self._found.schema_version

    @property
    def tag_sets(self) -> tuple[frozenset[str], ...]:
        """The tags of every meta graph of the file, in its order."""
        return tuple(each.tags for each in self._found.meta_graphs)

    @property
    def tags(self) -> frozenset[str]:
        """The tags of this one."""
        return self._chosen.tags

    @property
    def meta_graph(self) -> Any:
        """The ``MetaGraphDef`` message, under the scope if there is one.

        Raises:
            DataLossError: It is damaged.
        """
        return self._once("meta_graph", self._parse)

    @property
    def signatures(self) -> Mapping[str, Any]:
        """``SignatureDef`` messages by their keys, in the order of these: all, ``__saved_model_init_op`` too.

        A key that isn't there is a ``NotFoundError`` that lists those that are.
        """
        return self._once("signatures", lambda: Signatures(self.meta_graph.signature_def, self.file))

    @property
    def main_op(self) -> str | None:
        """Name of the operation that a loader runs when variables are restored, or None.

        Raises:
            DataLossError: There are several, or an empty list of them.
        """
        return main_ops.init_op(self.meta_graph, self.file)

    @property
    def train_op(self) -> str | None:
        """Name of the operation that is a step of training, or None; else as :attr:`main_op`."""
        return main_ops.train_op(self.meta_graph, self.file)

    # What lies beside it.

    @property
    def variables(self) -> Checkpoint:
        """The checkpoint of the variables, V2 or V1, opened at first use and closed with this object.

        Raises:
            FileNotFoundError: There is none; the message says what was looked for. A model without variables has none.
            DataLossError: Its index is damaged.
            ValueError: This object is closed.
        """
        with self._lock:
            if self._closed:
                raise ValueError(f"SavedModel {self._path!r} is closed")
            return self._once("variables", lambda: Checkpoint(paths.in_saved_model(self._path).path))

    def variable(self, name: str, *, copy: bool | None = None, verify: bool | None = None) -> NDArray[Any]:
        """Reads one variable, by any of its names.

        Args:
            name: The key that it has in the checkpoint. Or, with or without ``:0``, the name that it has in a graph of
                TensorFlow 1, which for a partitioned variable is the whole one's; the name of a part gives that part.
                Or a path of attributes from the root on, joined with ``/``, where in a name ``.`` is written ``..`` and
                ``/`` is written ``.S``: any path that leads to it. An optimizer's slots are
                ``<variable>/.OPTIMIZER_SLOT/<optimizer>/<slot>``.
            copy: As for :meth:`Checkpoint.read`.
            verify: As for :meth:`Checkpoint.read`.

        Raises:
            NotFoundError: There is no such variable, or several have this name; the message offers the nearest names,
                or their keys.
            FileNotFoundError, DataLossError, OSError: As :attr:`variables` and :meth:`Checkpoint.read`.
        """
        place = self._place(name)
        return self.variables.read(place.key, index=place.region, copy=copy, verify=verify)

    def variable_key(self, name: str) -> str:
        """The key in the checkpoint of the variable with this name; of a part, that of the whole variable.

        Raises:
            NotFoundError: As :meth:`variable`.
        """
        return self._place(name).key

    @property
    def assets(self) -> Mapping[str, str]:
        """Absolute paths of the assets by the names of the tensors that are fed them; there need not be such files.

        Raises:
            DataLossError: An asset is called what would lead out of the ``assets`` directory, or the list of them is
                damaged.
        """
        made = self._once("assets", lambda: assets.of(self.meta_graph, self._path, self.file))
        return MappingProxyType(made)

    @property
    def object_graph(self) -> ObjectGraph | None:
        """The objects that were saved, with the checkpoint keys of their values; None for a model of TensorFlow 1.

        A node's number is its position in ``meta_graph.object_graph_def.nodes``, which says what kind of object it is.

        Raises:
            DataLossError: The graph refers to an object that there is not.
        """
        return self._once("object_graph", self._objects)

    @property
    def fingerprint(self) -> Any:
        """The ``FingerprintDef`` message of ``fingerprint.pb``, or None where there is none that can be read."""
        from tensorbundle.saved_model.fingerprint import read_fingerprint

        return self._once("fingerprint", lambda: read_fingerprint(self._path))

    def problems(self) -> dict[str, Exception]:
        """What is wrong with it, as far as that can be told without running it or reading tensors.

        Returns:
            An error for each place: a part of this object, such as ``assets``, or an argument of a signature whose
            tensor the graph doesn't have.

        Raises:
            DataLossError: The graph is damaged.
        """
        found: dict[str, Exception] = dict(checks.missing_tensors(self.meta_graph, self.file))
        parts = ["main_op", "train_op", "assets", "object_graph"]
        if self._has_variables():
            parts.append("variables")
        found |= {part: problem for part in parts if (problem := self._problem(part)) is not None}
        return found

    # Its life.

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    def close(self) -> None:
        """Closes the checkpoint; arrays that were read, and messages, stay. May be called again."""
        with self._lock:
            self._closed = True
            if "variables" in self._made:
                self._made["variables"].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        tags = ", ".join(sorted(self.tags)) or "none"
        return f"<tensorbundle.saved_model.SavedModel {self._path!r}: tags {tags}{', closed' if self._closed else ''}>"

    # How it is made.

    def _once(self, name: str, make: Callable[[], _T]) -> _T:
        """What ``make`` gives, made the first time."""
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            made: _T = self._made[name]
            return made

    def _parse(self) -> Any:
        message = self._chosen.parse()
        if self._scope:
            scoping.apply(message, self._scope, self.file)
        return message

    def _objects(self) -> ObjectGraph | None:
        if not self.meta_graph.HasField("object_graph_def"):
            return None
        try:
            stored = objects.Stored(self._stored_objects(), self.variables)
        except FileNotFoundError:
            stored = objects.Stored(None, ())
        return objects.graph_of(self.meta_graph.object_graph_def, stored, self.file)

    def _stored_objects(self) -> ObjectGraph | None:
        return self._once("stored_objects", lambda: self.variables.object_graph)

    def _place(self, name: str) -> names.Place:
        if self._scope and isinstance(name, str):
            name = name.removeprefix(f"{self._scope}/")
        graphs = (
            lambda: self._once("stored_names", lambda: names.GraphNames(self._stored_objects())),
            lambda: self._once("names", lambda: names.GraphNames(self.object_graph, self._variable_names())),
        )
        return names.find(name, names.Sources(self.variables, graphs, self._defined))

    def _variable_names(self) -> dict[int, str]:
        """What the objects that are variables are called in the graph, which need not be what the checkpoint says."""
        nodes = enumerate(self.meta_graph.object_graph_def.nodes)
        return {number: node.variable.name for number, node in nodes if node.WhichOneof("kind") == "variable"}

    def _defined(self) -> dict[str, names.Place]:
        """Variables of the graph's collections, under the names that they have without the scope."""

        def make() -> dict[str, names.Place]:
            meta_graph = self._chosen.parse() if self._scope else self.meta_graph
            return names.defined(meta_graph, self.variables, self.file)

        return self._once("defined", make)

    def _problem(self, name: str) -> Exception | None:
        try:
            getattr(self, name)
        except (errors.TensorBundleError, OSError) as error:
            return error
        return None

    def _has_variables(self) -> bool:
        """Whether the graph says that there are some."""
        meta_graph = self.meta_graph
        kinds = (node.WhichOneof("kind") for node in meta_graph.object_graph_def.nodes)
        return meta_graph.HasField("saver_def") or "variable" in kinds


SavedModel.__module__ = "tensorbundle.saved_model"  # Where users find it.
