"""SavedModels without TensorFlow, under the names of its ``saved_model``.

    import tensorbundle as tb

    model = tb.saved_model.load("export/1", ["serve"])
    kernel = model.variable("dense/kernel")

Importing this package imports nothing else: protobuf comes with the first message, NumPy with the first array.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tensorbundle.saved_model import constants, serving, signature_constants, tag_constants
    from tensorbundle.saved_model.builder import Builder, SavedModelBuilder
    from tensorbundle.saved_model.loader import SavedModel, load
    from tensorbundle.saved_model.records import contains_saved_model
    from tensorbundle.saved_model.signatures import (
        build_composite_tensor_info,
        build_signature_def,
        build_sparse_tensor_info,
        build_tensor_info,
        classification_signature_def,
        is_valid_signature,
        predict_signature_def,
        regression_signature_def,
    )
    from tensorbundle.saved_model.simple import save_variables, simple_save

__all__ = [
    "Builder",
    "SavedModel",
    "SavedModelBuilder",
    "build_composite_tensor_info",
    "build_signature_def",
    "build_sparse_tensor_info",
    "build_tensor_info",
    "classification_signature_def",
    "constants",
    "contains_saved_model",
    "is_valid_signature",
    "load",
    "predict_signature_def",
    "regression_signature_def",
    "save_variables",
    "serving",
    "signature_constants",
    "simple_save",
    "tag_constants",
]

_MODULES = frozenset({"constants", "serving", "signature_constants", "tag_constants"})
# Public name -> the module that has it.
_HOMES = {
    "Builder": "builder",
    "SavedModel": "loader",
    "SavedModelBuilder": "builder",
    "build_composite_tensor_info": "signatures",
    "build_signature_def": "signatures",
    "build_sparse_tensor_info": "signatures",
    "build_tensor_info": "signatures",
    "classification_signature_def": "signatures",
    "contains_saved_model": "records",
    "is_valid_signature": "signatures",
    "load": "loader",
    "predict_signature_def": "signatures",
    "regression_signature_def": "signatures",
    "save_variables": "simple",
    "simple_save": "simple",
}


if not TYPE_CHECKING:  # Or a checker would take any name for one of these.

    def __getattr__(name: str) -> object:
        from tensorbundle.lazy_names import look_up

        return look_up(__name__, name, _MODULES, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
