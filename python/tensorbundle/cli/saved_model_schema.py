"""The schema of what ``tensorbundle saved-model show --json`` prints."""

from __future__ import annotations

from tensorbundle.cli.schema import document, flag, integer, list_of, map_of, or_null, record, text

_DTYPE = text("TensorFlow's name of the element type.")
_SHAPE = list_of(integer("A size; -1: any."), "Its shape.")

_TENSOR = record(
    "A tensor that a signature takes or gives.",
    {
        "dtype": _DTYPE,
        "shape": or_null({**_SHAPE, "description": "Its shape; null: any."}),
        "encoding": or_null(text("name: a dense tensor; coo_sparse or composite_tensor: made of several.")),
        "names": list_of(text("A name."), "The tensors of the graph that it is made of."),
    },
)
_SIGNATURE = record(
    "A signature.",
    {
        "method_name": text("What calls it, such as tensorflow/serving/predict."),
        "inputs": map_of(_TENSOR, "What it takes."),
        "outputs": map_of(_TENSOR, "What it gives."),
        "defaults": list_of(text("An input."), "Inputs that may be left out."),
    },
)
_ASSET = record(
    "An asset.",
    {
        "tensor": text("The tensor that is fed its path."),
        "file": text("Its name below assets/."),
        "nbytes": or_null(integer("Its size; null: it is missing.")),
    },
)
_ARGUMENT = record("An argument.", {"name": text("Its name."), "dtype": _DTYPE})
_FUNCTION = record(
    "A function of the graph's library.",
    {
        "name": text("Its name."),
        "inputs": list_of(_ARGUMENT, "What it takes."),
        "outputs": list_of(_ARGUMENT, "What it gives."),
        "num_nodes": integer("Number of its nodes."),
    },
)
_META_GRAPH = record(
    "A meta graph.",
    {
        "tags": list_of(text("A tag."), "Its tags."),
        "tensorflow_version": text("The TensorFlow that wrote it; empty if it does not say."),
        "tensorflow_git_version": text("The same, more exactly."),
        "producer": integer("The graph's version."),
        "min_consumer": integer("The oldest version that may read it."),
        "stripped_default_attrs": flag("True if attributes with default values were left out."),
        "num_nodes": integer("Number of nodes outside of functions."),
        "num_objects": integer("Number of objects; 0: none were saved."),
        "main_op": or_null(text("What runs after loading.")),
        "train_op": or_null(text("What a step of training runs.")),
        "signatures": map_of(_SIGNATURE, "The signatures."),
        "assets": list_of(_ASSET, "The assets."),
        "collections": map_of(integer("Number of its elements."), "The collections."),
        "ops": map_of(integer("Number of nodes."), "How often each operation is used, in functions too."),
        "functions": list_of(_FUNCTION, "The functions of the library."),
        "missing_functions": list_of(text("A function."), "What is called and is not in the library."),
        "callables": map_of(
            list_of(text("A call, with what it gives."), "How it is called."),
            "Functions of the objects, by their paths.",
        ),
        "problems": map_of(text("What is wrong."), "Parts of it that can't be used."),
    },
)
_VARIABLE = record(
    "A tensor of the checkpoint.",
    {
        "name": text("Its key."),
        "dtype": _DTYPE,
        "shape": _SHAPE,
        "nbytes": integer("Bytes of the array; of strings, as they are stored."),
    },
)
_VARIABLES = record(
    "The variables.",
    {
        "path": text("Their checkpoint, seen from the model's directory."),
        "format": text("Of the checkpoint.", ("V1", "V2")),
        "num_shards": integer("Number of data files."),
        "nbytes": integer("Bytes of all tensors."),
        "tensors": list_of(_VARIABLE, "The tensors, in key order."),
        "problems": map_of(text("Why."), "Tensors that can't be read."),
    },
)
_HASH = "A hash, as a decimal number."
_FINGERPRINT = record(
    "What fingerprint.pb says.",
    {
        "saved_model_checksum": text(_HASH),
        "graph_def_program_hash": text(_HASH),
        "signature_def_hash": text(_HASH),
        "saved_object_graph_hash": text(_HASH),
        "checkpoint_hash": text(_HASH),
        "uuid": text("An identity; empty if there is none."),
        "producer": integer("Version of the fingerprint."),
    },
)

JSON_SCHEMA = document(
    "What is in a SavedModel.",
    {
        "path": text("Its directory."),
        "file": text("saved_model.pb or saved_model.pbtxt."),
        "file_bytes": integer("Size of that."),
        "schema_version": integer("Version of the format."),
        "fingerprint": or_null(_FINGERPRINT),
        "variables": or_null(_VARIABLES),
        "meta_graphs": list_of(_META_GRAPH, "The meta graphs."),
    },
)
