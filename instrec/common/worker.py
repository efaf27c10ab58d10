"""How a process works for another one."""

import contextlib
import multiprocessing
import os
import signal
import threading


def start() -> None:
    """Leave Ctrl-C to the parent, end when it is killed, and use one thread, not all."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()


def one_thread() -> contextlib.AbstractContextManager:
    """Limit BLAS to one thread, from now on or within a block: with more, it rounds differently.

    So results are identical, bit for bit, however many workers there are.
    """
    import numpy  # noqa: F401  the limit affects only loaded libraries
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1)


def end_with_parent() -> None:
    """Let this process end once its parent is gone: a killed parent cannot tell it to."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
