"""The workers of a Dask cluster; imported only where `settings.SCHEDULER` names one.

Client, scheduler and workers run the same code with the same packages, and see the same files under
the same paths (docs/cluster.md). One that differs is refused, as its results could differ, too.
"""

import concurrent.futures
import contextlib
import functools
import logging
import math
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import settings
from instrec.common import storage, worker
from instrec.errors import InputError

try:
    import distributed
    from distributed.comm import CommClosedError, get_address_host_port
except ImportError:
    raise InputError(
        "Dask, which INSTREC_SCHEDULER takes, is not installed: run "
        "pip install -r requirements-cluster.txt, or unset INSTREC_SCHEDULER"
    ) from None

# Seconds: for a scheduler and then a worker to answer, as all may have been started at once; to
# say goodbye; and between counts of the workers.
CONNECT, CLOSE, RECOUNT = 30, 2, 5
PACKAGES = ("numpy", "scipy", "librosa", "soundfile", "soxr", "keras", "tensorflow")


@contextlib.contextmanager
def workers(address: str) -> Iterator[tuple[Callable, Callable[[], int]]]:
    """Yield a function that submits calls to a scheduler's workers, and one that counts them.

    Parameters
    ----------
    address : str
        Address of the Dask scheduler.

    Yields
    ------
    submit : callable
        Takes a function and its arguments; returns a function that waits for the result.
    size : callable
        Returns the number of workers.

    Raises
    ------
    InputError
        If the scheduler or its workers are missing, do not fit, or go away.
    BrokenProcessPool
        If a call has killed several workers.
    """
    # What it logs is raised, too.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        get_address_host_port(address)  # with a malformed address, a client would never end
        client = distributed.Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected a Dask scheduler at {address}, found none ({_first_line(error)}): start one "
            "(docs/cluster.md), or unset INSTREC_SCHEDULER"
        ) from None
    try:
        _wait_for_a_worker(client)

        def submit(function: Callable, *task: object) -> Callable[[], Any]:
            future = client.submit(_work, _RECIPE, function, task, pure=False)
            return functools.partial(_result, client, future)

        number, counted = 1, -math.inf

        def size() -> int:
            nonlocal number, counted
            if time.monotonic() - counted > RECOUNT:  # workers come and go
                number, counted = max(1, len(client.nthreads())), time.monotonic()
            return number

        yield submit, size
    except distributed.KilledWorker as error:
        raise BrokenProcessPool(_first_line(error)) from None
    except (concurrent.futures.CancelledError, CommClosedError) as error:
        raise InputError(
            f"lost the Dask scheduler {address} ({_first_line(error)}): start it and its workers "
            "again, and run the same"
        ) from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"a worker of the Dask scheduler {address} lacks what this needs ({error}): start it "
            f"with PYTHONPATH={settings.ROOT}, in the same packages as this"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # the scheduler may be gone
            client.close(timeout=CLOSE)


def _wait_for_a_worker(client: distributed.Client) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT)
    except TimeoutError:
        raise InputError(
            f"expected workers at the Dask scheduler {client.scheduler.address}, found none in "
            f"{CONNECT} s: start some (docs/cluster.md), and run the same"
        ) from None


def _result(client: distributed.Client, future: distributed.Future) -> Any:  # noqa: ANN401
    """Return a call's result or raise its error; give up if no worker is left."""
    while True:
        try:
            return future.result(timeout=RECOUNT)
        except TimeoutError:
            if future.done():  # the call's own error, or the result has just come
                return future.result()
            _wait_for_a_worker(client)


def _work(recipe: dict, function: Callable, task: tuple) -> Any:  # noqa: ANN401
    """Call a function in this worker, if the worker matches the client."""
    here = distributed.get_worker()
    if here.state.nthreads > 1:
        raise InputError(
            f"expected workers of one thread each, found {here.state.nthreads} in "
            f"{here.address}: start it with --nthreads 1"
        )
    if different := storage.differences(_RECIPE, recipe):
        raise InputError(
            f"the worker {here.address} runs other code or packages ({different}): "
            "start it again, from the same folder as this"
        )
    worker.one_thread()  # from now on; repeated for libraries loaded since the last call
    return function(*task)


def _recipe() -> dict:
    """Describe the code and packages of this process, on which results depend."""
    # A task brings along what it needs from settings.py.
    code = storage.digest_of_sources(settings.ROOT, storage.SOURCES, without="settings.py")
    return {"code": code[:12], "python": platform.python_version()} | {
        package: storage.version_of(package) for package in PACKAGES
    }


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


_RECIPE = _recipe()  # once, when the code is loaded: later edits do not run here
