"""Make a bank of recorded notes, one SoundFont per program: tonejs-instruments and organ pipes.

  python3 -m rendering.samples demo/tonejs demo/free-soundfonts/docs/SGM-V2.01

The first folder holds the unpacked packages tonejs-instrument-<name>-mp3, in folders <name>/ (to
get them: pretrained/banks.toml), and in pipes/ the organ of GrandOrgue's demonstration, one folder
per stop. Files are named after their notes, such as Cs4.mp3 or 061-C#.wav. Writes 000.sf2 and so on
beside them; programs without notes are copied from the second folder.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from instrec.common import command, storage
from instrec.data import audio
from instrec.errors import InputError
from rendering.plan import RATE
from rendering.synthesis import file_of

LONGEST = 8.0  # s of a note: more is never played
RELEASE = -2400  # release time of a note, in timecents: 0.25 s
PROGRAMS = {  # General MIDI programs, counted from 0, by what is sampled
    "piano": (0, 1),
    "organ": (19,),
    "guitar-nylon": (24,),
    "guitar-acoustic": (25,),
    "guitar-electric": (26, 27),
    "violin": (40, 110),
    "cello": (42,),
    "harp": (46,),
    "trumpet": (56,),
    "saxophone": (64, 65, 66, 67),
    "clarinet": (71,),
    "flute": (73,),
}
REGISTRATIONS = {  # likewise: stops that play together, and by how many octaves each is moved up
    16: (("Montre8", 0), ("Bourdon8", 0)),
    17: (("Montre8", 0), ("Montre8", 1), ("Octavin2", 0)),  # principals of 8, 4 and 2 feet
}
CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# SoundFont 2 generators: an instrument is a list of them, each paired with a value.
KEY_RANGE, RELEASE_TIME, SAMPLE, INSTRUMENT = 43, 38, 53, 41
GAP = 46  # frames of silence that the format wants after a sample


def pitch_of(name: str) -> int | None:
    """Read the name of a note: 'Cs4' or '061-C#' -> 61; None for any other name.

    Parameters
    ----------
    name : str
        Of a file, without its ending.

    Returns
    -------
    int or None
        MIDI number.
    """
    if found := re.fullmatch(r"(\d{3})-[A-G]#?", name):
        return int(found[1])
    found = re.fullmatch(r"([A-G])(s?)(\d)", name)
    return found and 12 * (int(found[3]) + 1) + CLASSES[found[1]] + len(found[2])


def read_notes(folder: Path) -> dict[int, np.ndarray]:
    """Read the files of a folder that are named after notes.

    Parameters
    ----------
    folder : Path
        Of one instrument, or of one stop of an organ.

    Returns
    -------
    dict of np.ndarray, shape (frames,)
        Audio at 44.1 kHz from -1 to 1, by MIDI pitch.

    Raises
    ------
    InputError
        If there is none.
    """
    pitches = {path: pitch_of(path.stem) for path in sorted(folder.glob("*.*"))}
    notes = {
        pitch: audio.load_audio(path, RATE)[: round(LONGEST * RATE)]
        for path, pitch in pitches.items()
        if pitch is not None
    }
    if not notes:
        raise InputError(f"expected notes such as C4.mp3 or 060-C.wav in {folder}")
    return notes


def registered(stops: Sequence[tuple[Mapping[int, np.ndarray], int]]) -> dict[int, np.ndarray]:
    """Let stops of an organ play together, equally loud; one that lacks a note is silent there.

    Parameters
    ----------
    stops : sequence of (mapping of np.ndarray, int)
        Notes, as `read_notes` returns them, and by how many octaves they are moved up.

    Returns
    -------
    dict of np.ndarray, shape (frames,)
        By the keys of the first stop; each as long as its shortest pipe sounds.
    """
    notes = {}
    for key in stops[0][0]:
        pipes = [stop[key + 12 * up] for stop, up in stops if key + 12 * up in stop]
        notes[key] = sum(pipe[: min(map(len, pipes))] for pipe in pipes)
    return notes


def soundfont(program: int, notes: Mapping[int, np.ndarray]) -> bytes:
    """Return an SF2 file of one program; each key plays the nearest note.

    Parameters
    ----------
    program : int
        Of General MIDI.
    notes : mapping of np.ndarray, shape (frames,)
        Audio at 44.1 kHz, not silent, by MIDI pitch; all are made equally loud.

    Returns
    -------
    bytes
    """
    pitches = sorted(notes)
    waves = [np.round(32000 * notes[p] / np.abs(notes[p]).max()).astype("<i2") for p in pitches]
    edges = [-1, *((a + b) // 2 for a, b in pairwise(pitches)), 127]
    samples, generators, zones, start = [], [], [], 0
    for i, pitch in enumerate(pitches):
        frames = len(waves[i])
        ends = (start, start + frames, start, start + frames)  # of the sample, and of its loop
        samples.append(struct.pack("<20s5IBbHH", str(pitch).encode(), *ends, RATE, pitch, 0, 0, 1))
        start += frames + GAP
        keys = edges[i] + 1 | edges[i + 1] << 8
        zones.append(struct.pack("<HH", len(generators), 0))
        pairs = ((KEY_RANGE, keys), (RELEASE_TIME, RELEASE & 0xFFFF), (SAMPLE, i))
        generators += [struct.pack("<HH", *pair) for pair in pairs]
    audio_data = b"".join(wave.tobytes() + bytes(2 * GAP) for wave in waves)
    zones.append(struct.pack("<HH", len(generators), 0))
    heads = {  # each list ends with an entry that closes it
        b"phdr": struct.pack("<20s3H3I", b"notes", program, 0, 0, 0, 0, 0)
        + struct.pack("<20s3H3I", b"EOP", 0, 0, 1, 0, 0, 0),
        b"pbag": struct.pack("<4H", 0, 0, 1, 0),
        b"pmod": bytes(10),
        b"pgen": struct.pack("<4H", INSTRUMENT, 0, 0, 0),
        b"inst": struct.pack("<20sH20sH", b"notes", 0, b"EOI", len(pitches)),
        b"ibag": b"".join(zones),
        b"imod": bytes(10),
        b"igen": b"".join(generators) + bytes(4),
        b"shdr": b"".join(samples) + struct.pack("<20s5IBbHH", b"EOS", *[0] * 9),
    }
    lists = {
        b"INFO": _chunk(b"ifil", struct.pack("<HH", 2, 1)) + _chunk(b"INAM", b"notes\0"),
        b"sdta": _chunk(b"smpl", audio_data),
        b"pdta": b"".join(_chunk(name, content) for name, content in heads.items()),
    }
    content = b"".join(_chunk(b"LIST", name + inside) for name, inside in lists.items())
    return _chunk(b"RIFF", b"sfbk" + content)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def main() -> None:
    """Make the bank that the command line names."""
    parser = command.plain_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("others", type=Path, metavar="BANK", help="bank with one file per program")
    arguments = parser.parse_args()
    file_of(arguments.others, None)  # it is a bank, or nothing is written
    banks = {}
    for name, programs in command.progress(PROGRAMS.items(), unit="instrument"):
        notes = read_notes(arguments.folder / name)
        banks |= {f"{program:03d}": soundfont(program, notes) for program in programs}
    for program, drawn in REGISTRATIONS.items():
        stops = [(read_notes(arguments.folder / "pipes" / stop), up) for stop, up in drawn]
        banks[f"{program:03d}"] = soundfont(program, registered(stops))
    for name, content in banks.items():
        storage.save(arguments.folder / f"{name}.sf2", content)
        (arguments.folder / f"{name}.sf3").unlink(missing_ok=True)  # a copy, of an earlier version
    for path in sorted(arguments.others.glob("*.sf[23]")):
        if path.stem not in banks:
            storage.save(arguments.folder / path.name, path.read_bytes())


if __name__ == "__main__":
    command.run(main)
