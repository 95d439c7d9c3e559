"""TensorFlow's messages, without TensorFlow.

    from tensorbundle.protos import messages
    from tensorbundle.protos.convert import parse, serialize

    saved_model = parse(messages.SavedModel, data, "export/1/saved_model.pb")

They are classes of the installed protobuf, made at first use from descriptors in a pool of their own, so that they and
TensorFlow's can be in one process, imported in either order. Importing this package does not import protobuf.
"""
