"""Files of tensors of any format, through one small interface: checkpoints, safetensors and NumPy's ``.npz``.

    with formats.open_source("model.safetensors") as source:
        for spec in source.tensors():
            for index, array in source.chunks(spec.name):
                ...

Nothing here decides what becomes what: that is for those who convert and compare. ``formats.safetensors`` and
``formats.npz`` also know how their files are laid out for writing.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tensorbundle.formats import npz, safetensors
    from tensorbundle.formats.opening import open_source
    from tensorbundle.formats.source import RawBytes, Source, TensorSpec

__all__ = ["RawBytes", "Source", "TensorSpec", "npz", "open_source", "safetensors"]

_MODULES = frozenset({"npz", "safetensors"})
# Public name -> the module that has it.
_HOMES = {
    "RawBytes": "source",
    "Source": "source",
    "TensorSpec": "source",
    "open_source": "opening",
}


if not TYPE_CHECKING:  # Or a checker would take any name for one of these.

    def __getattr__(name: str) -> object:
        from tensorbundle.lazy_names import look_up

        return look_up(__name__, name, _MODULES, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
