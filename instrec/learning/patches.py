"""Feed patches from a file to Keras."""

import collections
import contextlib
import itertools
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass

import numpy as np

from instrec.common import storage
from instrec.data import features
from instrec.errors import InputError
from instrec.learning import augmentation, backend


@dataclass(eq=False)
class Patches:
    """Batches of patches, read from their file on demand.

    Parameters
    ----------
    inputs : list of np.ndarray [shape=(patches, bands, frames, channels)]
        Patches of each input of the network.
    rows : np.ndarray [shape=(n,)]
        Indices of the patches to use.
    batch : int
        Patches per batch; the last batch may be smaller.
    targets : np.ndarray [shape=(patches, labels)], optional
        One-hot labels; omitted for prediction.
    shuffle_seed : sequence of int, optional
        Shuffle before every epoch, seeded with this and the number of the epoch.
    epoch : int
        Number of the first epoch, for resumed training.
    means_and_stds : sequence of (np.ndarray, np.ndarray), optional
        Mean and standard deviation of each cell, per input: see `features.standardise`.
    augmentations : str
        Names from `augmentation` by which to vary batches; needs `shuffle_seed`. Both inputs of
        a network are varied alike.
    frame_seconds : float, optional
        Seconds from frame to frame, for augmentation.
    devices : int
        Devices that share every batch equally. The remainder of an epoch's last batch, at most
        `devices` - 1 patches, is left out.
    process : tuple of (int, int)
        Number of this process, and how many there are; each gets its part of the batch.

    Raises
    ------
    InputError
        If there are fewer patches than devices.
    """

    inputs: list[np.ndarray]
    rows: np.ndarray
    batch: int
    _: KW_ONLY
    targets: np.ndarray | None = None
    shuffle_seed: tuple[int, ...] | None = None
    epoch: int = 0
    means_and_stds: features.MeansAndStds | None = None
    augmentations: str = ""
    frame_seconds: float | None = None
    devices: int = 1
    process: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        """Open the inputs."""
        if len(self.rows) < self.devices:  # no batch at all: epochs would loop for ever
            raise InputError(
                f"expected at least a patch for each device ({self.devices}), "
                f"found {len(self.rows)}"
            )
        self._inputs = [storage.Rows(patches) for patches in self.inputs]
        self._error: Exception | None = None

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        whole, rest = divmod(len(self.rows), self.batch)
        return whole + (rest >= self.devices)

    def batches(self) -> Iterator[tuple]:
        """Yield the batches of one epoch after another, without end: inputs, and any targets.

        All CPU cores prepare batches ahead (NumPy lets threads run in parallel): a GPU consumes
        many times the batches that one core can augment.

        Yields
        ------
        tuple
            Inputs, and targets if there are any.
        """
        threads = multiprocessing.cpu_count()
        ahead = collections.deque()
        with ThreadPoolExecutor(threads) as pool:
            for place in self._places():
                ahead.append(pool.submit(self._batch_of, *place))
                if len(ahead) <= threads:
                    continue
                try:
                    batch = ahead.popleft().result()
                except Exception as error:
                    self._error = error
                    raise
                yield batch

    def stream(self) -> Iterable[tuple]:
        """Return `batches` for Keras, which must be told the number of steps per epoch.

        TensorFlow gets one iterator for all epochs, and no autotuning: it closes an iterator only
        when its tuner next wakes, after idle seconds.

        Returns
        -------
        tf.data.Dataset or iterator
            The iterator for JAX.
        """
        if backend.ENGINE == "jax":
            return self.batches()
        from instrec.learning.backend import tf

        signature = tf.nest.map_structure(
            lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype),
            self._batch_of(*next(self._places())),
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        dataset = tf.data.Dataset.from_generator(self.batches, output_signature=signature)
        return dataset.prefetch(1).with_options(options)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise the original error from `batches`, not what TensorFlow makes of it."""
        try:
            yield
        except Exception:
            if self._error is not None:
                raise self._error from None
            raise

    def _places(self) -> Iterator[tuple[np.ndarray, int, int]]:
        """Yield the order of the patches, the epoch and the number of each batch, without end."""
        for epoch in itertools.count(self.epoch):
            order = self.rows
            if self.shuffle_seed is not None:
                order = np.random.default_rng([*self.shuffle_seed, epoch]).permutation(order)
            yield from ((order, epoch, index) for index in range(len(self)))

    def _batch_of(self, order: np.ndarray, epoch: int, index: int) -> tuple:
        rows = order[index * self.batch : (index + 1) * self.batch]
        rows = rows[: len(rows) // self.devices * self.devices]
        inputs = [patches[rows] for patches in self._inputs]
        targets = None if self.targets is None else self.targets[rows]
        if self.augmentations:
            seed = [*self.shuffle_seed, epoch, 1 + index]  # shuffling uses the first two
            names, seconds = self.augmentations, self.frame_seconds
            varied = [
                augmentation.augment(np.random.default_rng(seed), names, x, seconds, targets)
                for x in inputs
            ]
            inputs, (targets, *_) = zip(*varied, strict=True)
        # Only now, so that a patch is varied alike whichever process gets it.
        number, processes = self.process
        mine = slice(number * len(rows) // processes, (number + 1) * len(rows) // processes)
        x = features.network_input([patches[mine] for patches in inputs], self.means_and_stds)
        return (x,) if targets is None else (x, targets[mine])
