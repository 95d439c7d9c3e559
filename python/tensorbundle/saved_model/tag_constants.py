"""Tags of meta graphs, as in TensorFlow's ``saved_model.tag_constants``."""

from typing import Final

EVAL: Final = "eval"
GPU: Final = "gpu"
SERVING: Final = "serve"
TPU: Final = "tpu"
TRAINING: Final = "train"
