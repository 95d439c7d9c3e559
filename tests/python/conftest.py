"""What every test in this folder may ask for."""

import signal

from support.fixtures import (  # noqa: F401
    corpus_checkpoint,
    golden_checkpoint,
    golden_directory,
    python_with_tensorflow,
    tensorflow,
    write_bundle,
)

# A shell starts what runs in the background with Ctrl-C ignored, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
