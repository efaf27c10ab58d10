"""Render a stand-in for a data set: General MIDI music in the data set's exact layout on disk.

    python3 render_dataset.py -d 1               # IRMAS: 880 training and 120 test clips
    python3 render_dataset.py -d 2 --train 20    # Monotimbral: 20 files a label

    python3 render_dataset.py -d 10 --soundfont a.sf2 b.sf2    # Rendered: several SoundFonts

Every later step then runs without the real recordings. Scores on rendered audio say that the code
works; they say nothing about recordings. Data sets that are separated from others are not rendered:
render the source, then separate it.

The same arguments give the same files, however many processes work. A stopped run resumes where it
left off. A folder that holds anything else, or was made with other arguments, is not touched.

The audio is made by a SoundFont, by default TimGM6mb.sf2 of the package pretty_midi. That SoundFont
is under the GNU GPL, version 2: the licence of the SoundFont, not of this file. The rendered audio
is for trying the code; read your SoundFont's licence before you pass audio on.

The data set Rendered trains models for real recordings: several SoundFonts take turns, notes are
long and short, detuned and with vibrato, often without accompaniment, and most voices are
synthesised, as SoundFonts have none that sing.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from instrec.common import command, storage
from instrec.common.parallel import ordered_map
from instrec.config import Config
from instrec.data import audio, tensors
from instrec.errors import InputError
from rendering import plan as planning
from rendering.banks import Bank, default_soundfont, digest_of, read_table, turn_of
from rendering.plan import RATE, Recording
from rendering.synthesis import file_of, perform

VERSION = 3  # of the music: raise it when the same arguments give other audio
EXPRESSIVE_VERSION = 5  # of expressive music, likewise
EXPRESSIVE = "rendered"  # the folder of the data set whose music is expressive
WAV_HEADER = 44  # bytes


def is_saved(recording: Recording, folder: Path) -> bool:
    """Whether all files of a recording are there, with all their frames of 16-bit stereo.

    Parameters
    ----------
    recording : Recording
        What is planned.
    folder : Path
        Of the data set.

    Returns
    -------
    bool
    """
    waves = [folder / path for path in recording.paths]
    return all(
        wave.is_file()
        and wave.stat().st_size == WAV_HEADER + 4 * recording.frames
        and (wave.with_suffix(".txt").is_file() or not recording.texts)
        for wave in waves
    )


@cache
def read_soundfont(path: Path) -> bytes | Path:
    """Read a SoundFont, once per process; the files of a folder are read as they are needed.

    Parameters
    ----------
    path : Path
        The file, or the folder of a bank with one file per program.

    Returns
    -------
    bytes or Path

    Raises
    ------
    InputError
        If it is not an SF2 file, or a file of the folder is missing.
    """
    if path.is_dir():
        file_of(path, None)
        return path
    content = path.read_bytes()
    if content[:4] != b"RIFF" or content[8:12] != b"sfbk":
        raise InputError(f"{path} is not a SoundFont: expected an .sf2 file")
    samples = content.find(b"smpl")
    if content[samples + 8 : samples + 12] == b"OggS":
        raise InputError(
            f"{path} is compressed (SF3), which the renderer cannot play: convert it to SF2 first, "
            "as with sf3convert -z, or name a folder of such files, one per program"
        )
    return content


def save(recording: Recording, folder: Path, soundfonts: Sequence[Bank]) -> int:
    """Perform a recording, write its files and return the number of its clips.

    Parameters
    ----------
    recording : Recording
        What is played.
    folder : Path
        Of the data set.
    soundfonts : sequence of Bank
        They take turns.

    Returns
    -------
    int
    """
    import soundfile

    soundfont = turn_of(soundfonts, recording.turn, recording.labels)
    clips = perform(recording, read_soundfont(soundfont))
    for path, clip in zip((folder / p for p in recording.paths), clips, strict=True):
        if recording.texts:
            text = "".join(f"{label}\t\n" for label in recording.labels)
            storage.save(path.with_suffix(".txt"), text)
        with storage.whole(path) as partial, audio.writing(partial):
            soundfile.write(partial, clip, RATE, subtype="PCM_16")
    return len(clips)


def new_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = command.new_parser(__doc__)
    add = partial(parser.add_argument, metavar="N")
    add("--train", type=int, help="IRMAS: training clips per label (80); others: files (10)")
    add("--test", type=int, help="IRMAS: test clips in all (120)")
    add("--excerpts", type=int, default=1, help="IRMAS: test clips of one song (1)")
    length = "IRMAS: length of the test clips (5 20); others: of the files (10 20)"
    add("--seconds", type=float, nargs=2, metavar=("MIN", "MAX"), help=length)
    add(
        "--soundfont",
        type=Path,
        nargs="+",
        metavar="FILE.sf2",
        help="default: TimGM6mb.sf2 of pretty_midi; for Rendered several, which take turns; a "
        "folder of 000.sf3 to 128.sf3, one per program, is played by fluidsynth",
    )
    add("--banks", type=Path, metavar="FILE.toml", help="instead: a table, pretrained/banks.toml")
    add("--seed", dest="music_seed", type=int, default=0, metavar="S", help="other music (0)")
    add(
        "--processes",
        type=int,
        default=os.cpu_count(),
        help="at work at once, each with all SoundFonts in memory (%(default)s)",
    )
    return parser


def plan_of(
    config: Config, arguments: argparse.Namespace
) -> tuple[list[Recording], dict[str, object]]:
    """Plan what the arguments ask for; return the plan and what determines it.

    Parameters
    ----------
    config : Config
        The data set.
    arguments : argparse.Namespace
        From `new_parser`.

    Returns
    -------
    plan : list of Recording
    recipe : dict
        What determines the audio.

    Raises
    ------
    InputError
        If the data set cannot be rendered with these arguments.
    """
    data_set, seed = config.data_set, arguments.music_seed
    labels = planning.folder_labels(data_set)
    irmas = data_set.layout == "irmas"
    if arguments.test is not None and not irmas:
        raise InputError(f"{data_set.title} has no test set of its own: leave --test out")
    train, test, *seconds = (80, 120, 5.0, 20.0) if irmas else (10, 0, 10.0, 20.0)
    train = train if arguments.train is None else arguments.train
    test = test if arguments.test is None else arguments.test
    shortest, longest = seconds = arguments.seconds or seconds
    if not 1 <= shortest <= longest:
        raise InputError(f"expected --seconds with 1 <= MIN <= MAX, found {shortest} {longest}")
    if min(train, test, seed) < 0:
        raise InputError("expected --train, --test and --seed to be 0 or more")
    if irmas:
        plan = planning.plan_irmas_train(labels, train, seed)
        excerpts = command.positive("--excerpts", arguments.excerpts)
        plan += planning.plan_irmas_test(labels, test, seed, seconds, excerpts)
    else:
        plan = planning.plan_folders(data_set.folders[0], labels, train, seed, seconds)
    recipe = {"train": train, "test": test, "seconds": seconds, "seed": seed, "labels": labels}
    if arguments.excerpts != 1:
        recipe["excerpts"] = arguments.excerpts
    return plan, recipe | {"version": VERSION}


def render(config: Config, arguments: argparse.Namespace) -> None:
    """Render the audio of the data set as the arguments ask.

    Parameters
    ----------
    config : Config
        The data set and the paths.
    arguments : argparse.Namespace
        From `new_parser`.
    """
    began = time.perf_counter()
    command.positive("--processes", arguments.processes)
    data_set = config.data_set
    plan, recipe = plan_of(config, arguments)
    folder = config.data_path / data_set.folders[0]
    soundfonts = [Bank(path.absolute()) for path in arguments.soundfont or [default_soundfont()]]
    if arguments.banks:
        if arguments.soundfont:
            raise InputError("expected --soundfont or --banks, found both")
        soundfonts = read_table(arguments.banks, recipe["labels"])
    if data_set.folders[0] == EXPRESSIVE:
        plan = planning.make_expressive(plan)
        recipe["expressive_version"] = EXPRESSIVE_VERSION
    elif len(soundfonts) > 1:
        raise InputError(
            f"expected one SoundFont for {data_set.title}, found {len(soundfonts)}: several are "
            f"for the data set in {EXPRESSIVE}/"
        )
    for path, _ in soundfonts:
        read_soundfont(path)
    recipe["soundfont"] = ", ".join(
        f"{path.name} {digest_of(path, recipe['labels'])[:16]}" for path, _ in soundfonts
    )
    if any(without for _, without in soundfonts):
        recipe["without"] = [sorted(without) for _, without in soundfonts]
    with storage.lock(folder, "rendered audio"):
        remedy = "move the folder away, or set INSTREC_DATA_PATH to another place"
        storage.fill_with(folder / tensors.RENDERED_NOTE, recipe, remedy)
        clips = sum(len(recording.paths) for recording in plan)
        frames = sum(len(recording.paths) * recording.frames for recording in plan)
        print(f"{data_set.title}: {clips} clips, {4e-6 * frames:.0f} MB, to {folder}")
        missing = [recording for recording in plan if not is_saved(recording, folder)]
        left = sum(len(recording.paths) for recording in missing)
        if left < clips:
            print(f"kept {clips - left} clips that are there already")
        tasks = [(recording, folder, soundfonts) for recording in missing]
        workers = min(arguments.processes, max(1, len(missing)))
        with command.progress(total=left, unit="clip", desc="rendering") as bar:
            for done in ordered_map(save, tasks, workers=workers, scheduler=config.scheduler):
                bar.update(done)

    counts = Counter((label, r.texts) for r in plan for label in r.labels for _ in r.paths)
    irmas = data_set.layout == "irmas"
    columns = {"train": False, "test": True} if irmas else {"files": False}
    rows = [
        (label, *(counts[label, texts] for texts in columns.values())) for label in recipe["labels"]
    ]
    command.print_table(("label", *columns), rows)
    print(f"{clips} clips, {time.perf_counter() - began:.0f} s")


def main(argv: Sequence[str] | None = None) -> None:
    """Render what the command line asks for.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    arguments, config = command.parse(new_parser(), argv)
    render(command.choose_data_set(config), arguments)


if __name__ == "__main__":
    command.run(main)
