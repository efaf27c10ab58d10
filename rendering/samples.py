"""Make a bank of recorded notes: the samples of tonejs-instruments, one SoundFont per program.

  python3 -m rendering.samples demo/tonejs demo/free-soundfonts/docs/SGM-V2.01

The first folder holds the unpacked packages tonejs-instrument-<name>-mp3, in folders <name>/ (to
get them: pretrained/banks.toml); their files are named after their notes, such as Cs4.mp3. Writes
000.sf2 and so on beside them; programs without notes are copied from the second folder.
"""

import re
import struct
from collections.abc import Mapping
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
CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# SoundFont 2 generators: an instrument is a list of them, each paired with a value.
KEY_RANGE, RELEASE_TIME, SAMPLE, INSTRUMENT = 43, 38, 53, 41
GAP = 46  # frames of silence that the format wants after a sample


def pitch_of(name: str) -> int | None:
    """Read the name of a note: 'Cs4' -> 61; None for any other name.

    Parameters
    ----------
    name : str
        Of a file, without its ending.

    Returns
    -------
    int or None
        MIDI number.
    """
    found = re.fullmatch(r"([A-G])(s?)(\d)", name)
    return found and 12 * (int(found[3]) + 1) + CLASSES[found[1]] + len(found[2])


def soundfont(program: int, notes: Mapping[int, np.ndarray]) -> bytes:
    """Return an SF2 file of one program; each key plays the nearest note.

    Parameters
    ----------
    program : int
        Of General MIDI.
    notes : mapping of np.ndarray, shape (frames,), dtype int16
        Audio at 44.1 kHz, by MIDI pitch.

    Returns
    -------
    bytes
    """
    pitches = sorted(notes)
    edges = [-1, *((a + b) // 2 for a, b in pairwise(pitches)), 127]
    samples, generators, zones, start = [], [], [], 0
    for i, pitch in enumerate(pitches):
        frames = len(notes[pitch])
        ends = (start, start + frames, start, start + frames)  # of the sample, and of its loop
        samples.append(struct.pack("<20s5IBbHH", str(pitch).encode(), *ends, RATE, pitch, 0, 0, 1))
        start += frames + GAP
        keys = edges[i] + 1 | edges[i + 1] << 8
        zones.append(struct.pack("<HH", len(generators), 0))
        pairs = ((KEY_RANGE, keys), (RELEASE_TIME, RELEASE & 0xFFFF), (SAMPLE, i))
        generators += [struct.pack("<HH", *pair) for pair in pairs]
    audio_data = b"".join(notes[p].astype("<i2").tobytes() + bytes(2 * GAP) for p in pitches)
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
    made = set()
    for name, programs in command.progress(PROGRAMS.items(), unit="instrument"):
        notes = {}
        for path in sorted((arguments.folder / name).glob("*.mp3")):
            if (pitch := pitch_of(path.stem)) is not None:
                y = audio.load_audio(path, RATE)[: round(LONGEST * RATE)]
                notes[pitch] = np.round(32000 * y / np.abs(y).max()).astype(np.int16)
        if not notes:
            raise InputError(f"expected notes such as C4.mp3 in {arguments.folder / name}")
        for program in programs:
            storage.save(arguments.folder / f"{program:03d}.sf2", soundfont(program, notes))
        made |= {f"{program:03d}" for program in programs}
    for path in sorted(arguments.others.glob("*.sf[23]")):
        if path.stem not in made:
            storage.save(arguments.folder / path.name, path.read_bytes())


if __name__ == "__main__":
    command.run(main)
