"""Vary training patches, so that a network holds up on recordings unlike its training data.

Patches are log-mel magnitudes [patches x mel bands x frames x channels], in which sounds add up
nearly as the logarithm of the sum of their magnitudes. What is done in the log-mel domain costs
little and differs in every epoch.

The parameter `augmentation` names what is done, in the order of `AUGMENTATIONS`. Functions are
pure: a random generator and patches go in, new patches come out.
"""

import numpy as np

NEPERS = np.log(10) / 20  # of one dB: patches are natural logarithms


def room(rng: np.random.Generator, patches: np.ndarray, frame_seconds: float) -> np.ndarray:
    """Let half of the patches reverberate: every frame decays over the next ones.

    Reverberation times of 0.1 to 1.2 s, 3 to 25 dB softer than the direct sound.

    Parameters
    ----------
    rng : np.random.Generator
        Draws what differs.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.
    frame_seconds : float
        Seconds from frame to frame.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    n, _, frames, _ = patches.shape
    decay = -np.log(1000) * frame_seconds / rng.uniform(0.1, 1.2, n)  # nepers a frame
    level = rng.uniform(-25, -3, n) * NEPERS
    wet = np.empty_like(patches)
    tail = np.full_like(patches[:, :, 0], -np.inf)
    for frame in range(frames):
        direct = patches[:, :, frame]
        tail = np.logaddexp(tail + _column(decay)[..., 0], direct + _column(level)[..., 0])
        wet[:, :, frame] = np.logaddexp(tail, direct)
    return np.where(_column(rng.random(n) < 0.5), wet, patches)


def start(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Rotate each patch in time: notes begin anywhere.

    Parameters
    ----------
    rng : np.random.Generator
        Draws what differs.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    shifts = rng.integers(patches.shape[2], size=len(patches))
    return np.stack([np.roll(patch, by, axis=1) for patch, by in zip(patches, shifts, strict=True)])


def noise(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Add noise, 30 to 75 dB below the loudest point, brighter or darker, to most patches.

    Parameters
    ----------
    rng : np.random.Generator
        Draws what differs.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    n, bands = patches.shape[:2]
    tilt = rng.uniform(-1.5, 0.5, (n, 1)) * np.linspace(-1, 1, bands)  # nepers
    level = patches.max(axis=(1, 2, 3)) + rng.uniform(-75, -30, n) * NEPERS
    floor = _column(level) + tilt[:, :, None, None] + 0.3 * rng.standard_normal(patches.shape)
    floor[rng.random(n) >= 0.8] = -np.inf
    return np.logaddexp(patches, floor.astype(patches.dtype))


def pitch(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Move each patch by up to four mel bands up or down, pitch and timbre alike.

    Parameters
    ----------
    rng : np.random.Generator
        Draws what differs.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    bands = np.arange(patches.shape[1])
    shifts = rng.integers(-4, 5, size=len(patches))
    moved = np.clip(bands - shifts[:, None], 0, bands[-1])  # edges are repeated
    return np.take_along_axis(patches, moved[:, :, None, None], axis=1)


# Applied in this order, whatever order names them.
AUGMENTATIONS = {
    "room": room,
    "start": start,
    "noise": noise,
    "pitch": pitch,
}


def augment(
    rng: np.random.Generator, names: str, patches: np.ndarray, frame_seconds: float
) -> np.ndarray:
    """Vary a batch of patches [patches x bands x frames x channels] in all the ways named.

    Parameters
    ----------
    rng : np.random.Generator
        Draws what differs.
    names : str
        Of `AUGMENTATIONS`, with blanks between.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.
    frame_seconds : float
        Seconds from frame to frame.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    wanted = names.split()
    for name, function in AUGMENTATIONS.items():
        if name in wanted:
            more = (frame_seconds,) if function is room else ()
            patches = function(rng, patches, *more)
    return patches


def _column(values: np.ndarray) -> np.ndarray:
    """One value a patch, to combine with patches: (n,) -> (n, 1, 1, 1), float32 if not boolean."""
    values = values if values.dtype == bool else values.astype(np.float32)
    return values[:, None, None, None]
