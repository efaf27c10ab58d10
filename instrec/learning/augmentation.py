"""Vary training patches, so that a network holds up on recordings unlike its training data.

Patches are log-mel magnitudes [patches x mel bands x frames x channels], in which a mix of sounds
is nearly the logarithm of the sum of their magnitudes. Varying them in the log-mel domain costs
little and differs in every epoch.

The parameter `augmentation` names what to apply, in the order of `AUGMENTATIONS`. Functions are
pure: a random generator and patches go in, new patches come out.
"""

import numpy as np

NEPERS = np.log(10) / 20  # per dB: patches are natural logarithms


def room(rng: np.random.Generator, patches: np.ndarray, frame_seconds: float) -> np.ndarray:
    """Add reverberation to half of the patches: every frame decays over the next ones.

    Reverberation times of 0.1 to 1.2 s, 3 to 25 dB softer than the direct sound.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
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
    decay = -np.log(1000) * frame_seconds / rng.uniform(0.1, 1.2, n)  # nepers per frame
    level = rng.uniform(-25, -3, n) * NEPERS
    decay, level = (_column(nepers)[..., 0] for nepers in (decay, level))
    wet = np.empty_like(patches)
    tail = np.full_like(patches[:, :, 0], -np.inf)
    for frame in range(frames):
        direct = patches[:, :, frame]
        tail = _sum(tail + decay, direct + level)
        wet[:, :, frame] = _sum(tail, direct)
    return np.where(_column(rng.random(n) < 0.5), wet, patches)


def start(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Rotate each patch in time: notes begin anywhere.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
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
        Draws the random values.
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
    hiss = np.float32(0.3) * rng.standard_normal(patches.shape, dtype=np.float32)
    hiss += (level[:, None] + tilt).astype(np.float32)[:, :, None, None]
    return np.where(_column(rng.random(n) < 0.8), _sum(patches, hiss), patches)


def pitch(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Shift each patch by up to four mel bands up or down, pitch and timbre alike.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
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


def mix(
    rng: np.random.Generator, patches: np.ndarray, targets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Add another patch of the batch, 9 dB softer to 9 dB louder, to half; both share the target.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.
    targets : np.ndarray [shape=(n, labels)] or None
        Shares of the labels.

    Returns
    -------
    patches, targets : np.ndarray
        New ones, of the same shapes.
    """
    others, on = rng.permutation(len(patches)), rng.random(len(patches)) < 0.5
    gain = _column(rng.uniform(-9, 9, len(patches)) * NEPERS)
    loudest = patches.max(axis=(1, 2, 3), keepdims=True)
    relative = patches - loudest
    both = loudest + _sum(relative, relative[others] + gain)
    if targets is not None:
        shared = (targets + targets[others]) / 2
        targets = np.where(on[:, None], shared, targets).astype(targets.dtype)
    return np.where(_column(on), both, patches), targets


def colour(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Equalise most patches by a curve of seven points over the mel bands, each of 4 dB rms.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    n, bands = patches.shape[:2]
    points = rng.normal(0, 4 * NEPERS, (n, 7))
    points[rng.random(n) >= 0.7] = 0
    below, part = np.divmod(np.linspace(0, 6, bands), 1)
    below = below.astype(int)
    curve = points[:, below] * (1 - part) + points[:, np.minimum(below + 1, 6)] * part
    return patches + curve[:, :, None, None].astype(patches.dtype)


def contrast(rng: np.random.Generator, patches: np.ndarray) -> np.ndarray:
    """Compress or expand half of the patches: levels below the loudest, in dB, times .74 to 1.35.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.

    Returns
    -------
    np.ndarray
        New patches, of the same shape.
    """
    factor = np.exp(rng.uniform(-0.3, 0.3, len(patches)))
    factor[rng.random(len(patches)) >= 0.5] = 1
    loudest = patches.max(axis=(1, 2, 3), keepdims=True)
    return loudest + _column(factor) * (patches - loudest)


# Applied in this order, whatever the order of the names.
AUGMENTATIONS = {
    function.__name__: function for function in (room, start, mix, colour, noise, pitch, contrast)
}


def augment(
    rng: np.random.Generator,
    names: str,
    patches: np.ndarray,
    frame_seconds: float,
    targets: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Vary a batch of patches [patches x bands x frames x channels] in all the ways named.

    Parameters
    ----------
    rng : np.random.Generator
        Draws the random values.
    names : str
        From `AUGMENTATIONS`, separated by blanks.
    patches : np.ndarray [shape=(n, bands, frames, channels)]
        Log-mel patches.
    frame_seconds : float
        Seconds from frame to frame.
    targets : np.ndarray [shape=(n, labels)], optional
        Shares of the labels.

    Returns
    -------
    patches, targets : np.ndarray
        New ones, of the same shapes.
    """
    wanted = names.split()
    for name, function in AUGMENTATIONS.items():
        if name not in wanted:
            continue
        if function is mix:
            patches, targets = mix(rng, patches, targets)
        else:
            more = (frame_seconds,) if function is room else ()
            patches = function(rng, patches, *more)
    return patches, targets


def _sum(sound: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Add two sounds, one of which may be silent; several times faster than `np.logaddexp`."""
    return np.maximum(sound, other) + np.log(1 + np.exp(-np.abs(sound - other)))


def _column(values: np.ndarray) -> np.ndarray:
    """Broadcast one value per patch: (n,) -> (n, 1, 1, 1), float32 if not boolean."""
    values = values if values.dtype == bool else values.astype(np.float32)
    return values[:, None, None, None]
