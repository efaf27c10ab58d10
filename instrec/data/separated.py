"""Separate one audio file: harmonic from percussive, or the solo from its accompaniment."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from instrec.common import storage
from instrec.data import audio
from instrec.errors import InputError

# By the ending of a folder's name: function of the package separation, and which of its parts.
COMPONENTS = {
    "harm": ("harmonic_percussive", 0),
    "perc": ("harmonic_percussive", 1),
    "solo": ("solo_accompaniment", 0),
}
EMPTY = 1e-3  # of the source's peak: a part below it is rounding noise, not sound
# Samples of a long file held in memory at once, and shared by neighbouring blocks.
BLOCK, OVERLAP = 2**20, 2**17


def component_of(folder: str) -> tuple[str, int]:
    """Return what a folder holds: a function of `separation`, and which of its parts.

    Parameters
    ----------
    folder : str
        Name of an audio folder, such as irmas_harm.

    Returns
    -------
    function : str
        From the package separation.
    part : int
        0 or 1: which of its two results.

    Raises
    ------
    InputError
        If its name does not say.
    """
    ending = folder.rsplit("_", 1)[-1]
    if ending not in COMPONENTS:
        raise InputError(
            f"expected a folder whose name ends in _{', _'.join(COMPONENTS)}, found {folder!r}"
        )
    return COMPONENTS[ending]


class Outcome(NamedTuple):
    """What came of one file: why it was left out, if it was; a note; whether samples clipped."""

    reason: str | None = None
    note: str = ""
    clipped: bool = False


def separate_file(
    source: Path, targets: dict[str, Path], kind: tuple[str, str] | None = None
) -> Outcome:
    """Write the separated parts of one file, all or none.

    Parameters
    ----------
    source : Path
        Audio file.
    targets : dict of str to Path
        Where each part goes, by the name of its audio folder, which says what it is.
    kind : (str, str), optional
        Format and subtype of the parts, as soundfile names them; those of the source by default.

    Returns
    -------
    Outcome

    Raises
    ------
    OSError
        If the parts cannot be written, such as on a full disk.
    """
    import soundfile

    try:
        with (
            audio.notes() as notes,
            audio.open_audio(source) as sound,
            storage.whole_set(*targets.values()) as partials,
            contextlib.ExitStack() as opened,
        ):
            format_, subtype = kind or audio.format_of(source)
            like = {"samplerate": sound.samplerate, "channels": sound.channels}
            like |= {"format": format_, "subtype": subtype}
            outputs = []
            for path in partials:
                with audio.writing(path):
                    output = soundfile.SoundFile(audio.name_of(path), "w", **like)
                outputs.append(opened.enter_context(output))
            peak, peaks = 0.0, np.zeros(len(targets))
            for y, separated in _separated(sound, targets):
                for path, output, piece in zip(partials, outputs, separated, strict=True):
                    with audio.writing(path):
                        output.write(piece.T)
                peak = max(peak, np.abs(y).max(initial=0))
                peaks = np.maximum(peaks, [np.abs(piece).max(initial=0) for piece in separated])
            if peak == 0:
                raise InputError("silent: every sample is zero")
            for folder, loudest in zip(targets, peaks, strict=True):
                if loudest < EMPTY * peak:
                    raise InputError(f"nothing of it is in {folder}")
        whole_numbers = not subtype.startswith(("FLOAT", "DOUBLE"))
        return Outcome(None, "; ".join(notes), bool(whole_numbers and peaks.max() > 1))
    except InputError as error:
        return Outcome(reason=str(error))


def _separated(
    sound: audio.Sound, targets: Iterable[str]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Yield each piece of the audio and its part for each target, all [channels x n]."""
    import separation

    (name,) = {component_of(folder)[0] for folder in targets}

    def separate(block: np.ndarray, _start: int) -> tuple[np.ndarray, np.ndarray]:
        audio.refuse_infinite(block)
        return getattr(separation, name)(block, sound.samplerate)

    pieces = (block.T for block in sound.blocks)
    for pair in separation.in_blocks(separate, pieces, block=BLOCK, overlap=OVERLAP):
        yield pair[0] + pair[1], [pair[component_of(folder)[1]] for folder in targets]


def parameters_of(function: str) -> dict:
    """Return the defaults of a separation, to be noted in the separated tree.

    Parameters
    ----------
    function : str
        From the package separation.

    Returns
    -------
    dict
        By name.
    """
    import separation

    defaults = getattr(separation, function).__kwdefaults__
    return {"separation": function, "version": separation.VERSION, **defaults}
