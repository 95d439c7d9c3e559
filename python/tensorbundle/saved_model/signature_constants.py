"""Keys, methods and arguments of signatures, as in TensorFlow's ``saved_model.signature_constants``."""

from typing import Final

CLASSIFY_INPUTS: Final = "inputs"
CLASSIFY_METHOD_NAME: Final = "tensorflow/serving/classify"
CLASSIFY_OUTPUT_CLASSES: Final = "classes"
CLASSIFY_OUTPUT_SCORES: Final = "scores"
DEFAULT_EVAL_SIGNATURE_DEF_KEY: Final = "eval"
DEFAULT_SERVING_SIGNATURE_DEF_KEY: Final = "serving_default"
DEFAULT_TRAIN_SIGNATURE_DEF_KEY: Final = "train"
PREDICT_INPUTS: Final = "inputs"
PREDICT_METHOD_NAME: Final = "tensorflow/serving/predict"
PREDICT_OUTPUTS: Final = "outputs"
REGRESS_INPUTS: Final = "inputs"
REGRESS_METHOD_NAME: Final = "tensorflow/serving/regress"
REGRESS_OUTPUTS: Final = "outputs"
SUPERVISED_EVAL_METHOD_NAME: Final = "tensorflow/supervised/eval"
SUPERVISED_TRAIN_METHOD_NAME: Final = "tensorflow/supervised/training"
