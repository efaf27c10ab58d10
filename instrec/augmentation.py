"""Vary training patches, so that a network holds up on recordings unlike its training data.

Patches are log-mel magnitudes [patches x mel bands x frames x channels], in which a filter is a sum
over the bands, and a mixture of sounds nearly the logarithm of the sum of their magnitudes. What is
done in the log-mel domain costs little and varies in every epoch.

`settings.augmentation` names what is done, in the order of `AUGMENTATIONS`. Functions are pure: a
random generator and patches go in, new patches come out.
"""

import numpy as np

from instrec import InputError

NEPERS = np.log(10) / 20  # of one dB: patches are natural logarithms


def mixing(
    rng: np.random.Generator, patches: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add another patch of the batch to half of the patches, and its label where it is loud.

    The other is 15 dB softer to 3 dB louder; from -8 dB on, its label counts too.
    """
    n = len(patches)
    other = rng.permutation(n)
    gain = rng.uniform(-15, 3, n)  # dB
    mixed = rng.random(n) < 0.5
    sums = np.logaddexp(patches, patches[other] + _column(gain * NEPERS))
    both = np.maximum(targets, targets[other] * (gain > -8)[:, None])
    both /= both.sum(axis=1, keepdims=True)  # shares: the network's outputs sum to 1
    return (
        np.where(_column(mixed), sums, patches),
        np.where(mixed[:, None], both, targets).astype(targets.dtype),
    )


def room(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Let half of the patches reverberate: every frame decays over the next ones.

    Reverberation times of 0.1 to 1.2 s, 3 to 25 dB softer than the direct sound; for frames of 23
    ms, which all data sets here have.
    """
    n, _, frames, _ = patches.shape
    decay = -np.log(1000) * 512 / 22050 / rng.uniform(0.1, 1.2, n)  # nepers a frame
    level = rng.uniform(-25, -3, n) * NEPERS
    wet = np.empty_like(patches)
    tail = np.full_like(patches[:, :, 0], -np.inf)
    for frame in range(frames):
        direct = patches[:, :, frame]
        tail = np.logaddexp(tail + _column(decay)[..., 0], direct + _column(level)[..., 0])
        wet[:, :, frame] = np.logaddexp(tail, direct)
    return np.where(_column(rng.random(n) < 0.5), wet, patches)


def start(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Rotate each patch in time: notes begin anywhere."""
    shifts = rng.integers(patches.shape[2], size=len(patches))
    return np.stack([np.roll(one, by, axis=1) for one, by in zip(patches, shifts, strict=True)])


def equaliser(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Filter each patch by a smooth curve over the mel bands, of some 3 dB."""
    n, bands = patches.shape[:2]
    places = np.linspace(0, np.pi, bands)
    waves = np.cos(np.arange(1, 6)[:, None] * places)  # [waves x bands], the first is a tilt
    weights = rng.standard_normal((n, 5)) * (3, 2.4, 1.8, 1.2, 0.9)  # dB
    return patches + (weights @ waves * NEPERS)[:, :, None, None].astype(patches.dtype)


def noise(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Add noise, 30 to 75 dB below the loudest point, brighter or darker, to most patches."""
    n, bands = patches.shape[:2]
    tilt = rng.uniform(-1.5, 0.5, (n, 1)) * np.linspace(-1, 1, bands)  # nepers
    level = patches.max(axis=(1, 2, 3)) + rng.uniform(-75, -30, n) * NEPERS
    floor = _column(level) + tilt[:, :, None, None] + 0.3 * rng.standard_normal(patches.shape)
    floor[rng.random(n) >= 0.8] = -np.inf
    return np.logaddexp(patches, floor.astype(patches.dtype))


def pitch(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Move each patch by up to four mel bands up or down, pitch and timbre alike."""
    bands = np.arange(patches.shape[1])
    shifts = rng.integers(-4, 5, size=len(patches))
    moved = np.clip(bands - shifts[:, None], 0, bands[-1])  # edges are repeated
    return np.take_along_axis(patches, moved[:, :, None, None], axis=1)


# In the order that sound goes: instruments, room, microphone.
AUGMENTATIONS = {
    "mixing": mixing,
    "room": room,
    "start": start,
    "equaliser": equaliser,
    "noise": noise,
    "pitch": pitch,
}


def check(names: str) -> None:
    """Refuse names that are unknown.

    Parameters
    ----------
    names : str
        Of `AUGMENTATIONS`, with blanks between them; '' names none.

    Raises
    ------
    InputError
        Naming what there is.
    """
    for name in names.split():
        if name not in AUGMENTATIONS:
            raise InputError(
                f"expected augmentation to name some of {' '.join(AUGMENTATIONS)}, found {name!r}"
            )


def augment(
    rng: np.random.Generator, names: str, patches: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vary a batch of patches and their targets [patches x labels] in all the ways named."""
    wanted = names.split()
    for name, function in AUGMENTATIONS.items():
        if name not in wanted:
            continue
        if function is mixing:
            patches, targets = mixing(rng, patches, targets)
        else:
            patches = function(rng, patches)
    return patches, targets


def _column(values: np.ndarray) -> np.ndarray:
    """One value a patch, to combine with patches: (n,) -> (n, 1, 1, 1), float32 if not boolean."""
    values = values if values.dtype == bool else values.astype(np.float32)
    return values[:, None, None, None]
