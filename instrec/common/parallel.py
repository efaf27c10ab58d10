"""Work on many files at once, on every core or on a cluster, in bounded memory."""

import collections
import contextlib
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from instrec.common import worker

AHEAD = 4  # tasks per worker that may be waiting or done: bounds what the parent holds


def ordered_map(
    function: Callable,
    tasks: Iterable[tuple],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator:
    """Yield `function(*task)` for each task, in order, computed by `workers` processes.

    Unlike with `multiprocessing.Pool`, a killed worker raises `BrokenProcessPool` instead of
    blocking forever, and results not yet asked for do not pile up. A cluster first gives the task
    to another worker.

    Parameters
    ----------
    function : callable
        A module-level function (processes are spawned, on every platform).
    tasks : iterable of tuple
        Arguments of each call.
    workers : int, optional
        Number of processes; `multiprocessing.cpu_count()` by default. 1 computes in this process.
    scheduler : str, optional
        Address of a Dask scheduler, all of whose workers then compute instead.

    Yields
    ------
    object
        What a call returned.

    Raises
    ------
    BrokenProcessPool
        If a worker was killed.
    InputError
        If the scheduler or its workers cannot be used.
    """
    workers = workers or multiprocessing.cpu_count()
    if scheduler:
        from instrec.common import cluster  # only where it is needed: Dask is optional

        pool = cluster.workers(scheduler)
    elif workers == 1:
        for task in tasks:
            with worker.one_thread():
                result = function(*task)
            yield result
        return
    else:
        pool = _processes(workers)
    with pool as (submit, size):
        waiting: collections.deque[Callable[[], Any]] = collections.deque()
        for task in tasks:
            waiting.append(submit(function, *task))
            if len(waiting) >= AHEAD * size():
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[tuple[Callable, Callable[[], int]]]:
    """Yield a function that submits calls to local processes, and one that counts them."""
    context = multiprocessing.get_context("spawn")
    if sys.platform == "win32":
        workers = min(workers, 61)  # Windows waits for no more processes at a time
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=worker.start)

    def submit(function: Callable, *task: object) -> Callable[[], Any]:
        with _interrupt_held():  # the first tasks start the workers
            return pool.submit(function, *task).result

    try:
        yield submit, lambda: workers
    finally:
        with _interrupt_held():  # a second Ctrl-C would leave workers that nobody stops
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _interrupt_held() -> Iterator[None]:
    """Delay Ctrl-C until the block has ended; workers started in it inherit this.

    Windows cannot: there, workers that are just starting complain about it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
