"""Work on many files at once, on every core or on a cluster, in bounded memory."""

import collections
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from instrec.common import worker

AHEAD = 4  # tasks a worker that may be waiting or done: bounds what the parent holds


def ordered_map(
    function: Callable,
    tasks: Iterable[tuple],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator:
    """Yield `function(*task)` for each task, in order, computed by `workers` processes.

    Unlike `multiprocessing.Pool`, a worker that is killed raises `BrokenProcessPool` instead of
    waiting forever, and results that nobody has asked for yet do not pile up. A cluster gives the
    task to another worker first.

    Parameters
    ----------
    function : callable
        A function of a module (processes are spawned, the same on every platform).
    tasks : iterable of tuple
        Arguments of each call.
    workers : int, optional
        Number of processes; `multiprocessing.cpu_count()` by default. 1 works in this process.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers then compute, as many as there are.

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
    """Yield what submits a call to processes of this machine, and what tells their number."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=worker.start)

    def submit(function: Callable, *task: object) -> Callable[[], Any]:
        with _interrupt_held():  # the first tasks start the workers
            return pool.submit(function, *task).result

    try:
        yield submit, lambda: workers
    finally:
        with _interrupt_held():  # a second Ctrl-C would leave workers that nobody tells to end
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _interrupt_held() -> Iterator[None]:
    """Hold Ctrl-C back: this process hears it after, and workers that start here inherit that.

    Windows cannot: there, workers that are only just starting complain of it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
