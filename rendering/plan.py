"""Which recordings a data set has: names, labels and lengths, without any audio."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from instrec.errors import InputError
from rendering.music import INSTRUMENTS
from settings import DATA_SETS, NOTHING, DataSet

RATE = 44100  # Hz
CLIP_SECONDS = 3.0  # of an IRMAS training clip
CLIPS_PER_RECORDING = 2  # clips cut from one IRMAS training recording
LABELS_A_TEST_CLIP = (0.43, 0.45, 0.12)  # shares of one, two and three labels, as in IRMAS
# Shares of styles among expressive recordings. Jazz and rock bands play labelled instruments too,
# so they are for training clips, labelled by their lead; labels of test clips are complete.
BANDS = {"alone": 0.45, "pop": 0.22, "jazz": 0.18, "rock": 0.15}
# Accompaniment, and whether it has drums, by folder; drawn at random for all others.
STYLES = {"youtube": ("alone", False), "jazz_db": ("jazz", True)}
# Names of IRMAS test clips are as odd as these.
TITLES = (
    *("({n:02d}) {a} {b}-{k}", "{n:02d} - {A},  {B}-{k}", " {A} {B} [{n}]-{k}"),
    *("{n:02d}. {A}'s {B}-{k}", "{A} & {B} No.{n}. {B}-{k}", "{a}_{b}.{n}-{k}"),
)
ADJECTIVES = ("blue", "dont", "golden", "late", "quiet", "rising", "second", "tom", "winter")
NOUNS = ("autumn", "ballad", "dance", "fall", "harbour", "nocturne", "road", "samba", "whale")
GENRES = ("cla", "pop_roc", "jaz_blu", "cou_fol", "lat_sou")


@dataclass(frozen=True)
class Recording:
    """One piece of music and the WAV files that it is cut into."""

    labels: tuple[str, ...]  # predominant instruments
    paths: tuple[str, ...]  # of its clips, below the folder of the data set
    frames: int  # of each clip
    style: str  # of the accompaniment: 'alone', 'pop', 'jazz' or 'rock'
    drums: bool
    key: tuple[int, ...]  # seeds all random choices
    texts: bool = False  # whether a .txt of the labels lies beside each clip
    expressive: bool = False  # long notes, vibrato, detuned, sung voices
    turn: int = 0  # number of the recording; SoundFonts take turns by it


def draw_style(rng: np.random.Generator) -> tuple[str, bool]:
    """Draw the accompaniment, and whether it has drums: one recording in two has them.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.

    Returns
    -------
    style : str
        'alone' or 'pop'.
    with_drums : bool
    """
    with_drums = bool(rng.random() < 0.5)
    return "pop" if with_drums or rng.random() < 0.7 else "alone", with_drums


def plan_irmas_train(labels: Sequence[str], count: int, seed: int) -> list[Recording]:
    """Plan `count` clips of 3 s per label; names of clips from one recording share a number.

    Parameters
    ----------
    labels : sequence of str
        Labels of the data set.
    count : int
        Clips per label.
    seed : int
        Other seeds give other music.

    Returns
    -------
    list of Recording
    """
    plan = []
    for label in labels:
        for first in range(0, count, CLIPS_PER_RECORDING):
            key = (seed, crc32(f"irmas/train/{label}".encode()), first)
            rng = np.random.default_rng(key)
            style, with_drums = draw_style(rng)
            number, mark = len(plan) + 1, "[dru]" if with_drums else rng.choice(["", "[nod]"])
            prefix = f"{number % 1000:03d}__" if mark and rng.random() < 0.5 else ""
            name = f"{prefix}[{label}]{mark}[{rng.choice(GENRES)}]{number:04d}__"
            clips = range(1, 1 + min(CLIPS_PER_RECORDING, count - first))
            paths = tuple(f"IRMAS-TrainingData/{label}/{name}{clip}.wav" for clip in clips)
            frames = round(CLIP_SECONDS * RATE)
            plan.append(Recording((label,), paths, frames, style, with_drums, key))
    return plan


def plan_irmas_test(
    labels: Sequence[str], count: int, seed: int, seconds: tuple[float, float], excerpts: int = 1
) -> list[Recording]:
    """Plan `count` clips of one to three labels, with all labels about equally often.

    Each song gives `excerpts` clips, numbered in their names.

    Parameters
    ----------
    labels : sequence of str
        Labels of the data set.
    count : int
        Clips in all.
    seed : int
        Other seeds give other music.
    seconds : tuple of (float, float)
        Range of clip lengths.
    excerpts : int
        Clips per song.

    Returns
    -------
    list of Recording
    """
    plan, counts = [], Counter()
    songs = -(-count // excerpts)
    for index in range(songs):
        key = (seed, crc32(b"irmas/test"), index)
        rng = np.random.default_rng(key)
        rarest_first = sorted(rng.permutation(labels).tolist(), key=lambda label: counts[label])
        rarest_first = rarest_first[: rng.choice([1, 2, 3], p=LABELS_A_TEST_CLIP)]
        if rarest_first[0] == NOTHING:
            rarest_first = [NOTHING]
        chosen = tuple(sorted(label for label in rarest_first if label != NOTHING)) or (NOTHING,)
        counts.update(chosen)
        a, b, k = rng.choice(ADJECTIVES), rng.choice(NOUNS), rng.integers(1, 21)
        words = {"n": index + 1, "a": a, "b": b, "A": a.title(), "B": b.title()}
        part = f"Part{3 * index // songs + 1}"
        inner = f"IRTestingData-{part}" if part == "Part2" else part  # as IRMAS really has it
        numbers = [k + 5 * i for i in range(min(excerpts, count - excerpts * index))]
        titles = [TITLES[index % len(TITLES)].format(**words, k=number) for number in numbers]
        paths = tuple(f"IRMAS-TestingData-{part}/{inner}/{title}.wav" for title in titles)
        frames = round(rng.uniform(*seconds) * RATE)
        plan.append(Recording(chosen, paths, frames, *draw_style(rng), key, texts=True))
    return plan


def plan_folders(
    folder: str, labels: Sequence[str], count: int, seed: int, seconds: tuple[float, float]
) -> list[Recording]:
    """Plan `count` files per label, each with one predominant instrument.

    Parameters
    ----------
    folder : str
        Of the data set.
    labels : sequence of str
        Labels of the data set.
    count : int
        Files per label.
    seed : int
        Other seeds give other music.
    seconds : tuple of (float, float)
        Range of file lengths.

    Returns
    -------
    list of Recording
    """
    plan = []
    for label in labels:
        for index in range(count):
            key = (seed, crc32(f"{folder}/{label}".encode()), index)
            rng = np.random.default_rng(key)
            path = f"{label}/{label}_{index + 1:03d}.wav"
            frames = round(rng.uniform(*seconds) * RATE)
            style = STYLES.get(folder) or draw_style(rng)
            plan.append(Recording((label,), (path,), frames, *style, key))
    return plan


def make_expressive(plan: Sequence[Recording]) -> list[Recording]:
    """Make recordings expressive, alone or with bands, played by all SoundFonts in turn.

    Parameters
    ----------
    plan : sequence of Recording
        In the order in which SoundFonts take turns.

    Returns
    -------
    list of Recording
    """
    expressive = []
    for turn, recording in enumerate(plan):
        # A stream of its own: the first number from the key alone already decided on drums.
        rng = np.random.default_rng([*recording.key, crc32(b"style")])
        style = rng.choice([*BANDS], p=[*BANDS.values()])
        if style != "alone" and (recording.texts or NOTHING in recording.labels):
            style = "pop"
        with_drums = bool(style == "rock" or (style != "alone" and recording.drums))
        expressive.append(
            replace(recording, expressive=True, turn=turn, style=str(style), drums=with_drums)
        )
    return expressive


def folder_labels(data_set: DataSet) -> list[str]:
    """Return the labels of all data sets in the folder: IRMAS Wind is part of IRMAS.

    Parameters
    ----------
    data_set : DataSet
        The one to render.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        If the data set cannot be rendered.
    """
    given = {id_: row for id_, row in DATA_SETS.items() if row.source is None}
    if data_set.source is not None:
        ids = [id_ for id_, row in given.items() if data_set.source in row.folders]
        id_ = min(ids, key=lambda id_: given[id_].name != data_set.source, default="?")
        raise InputError(
            f"{data_set.title} is separated from '{data_set.source}': "
            f"render that (-d {id_}), then separate it"
        )
    if len(data_set.folders) != 1:
        raise InputError(f"expected a data set of one folder, found {data_set.folders}")
    sharing = [row.labels for row in given.values() if row.folders == data_set.folders]
    labels = sorted({label for shared in sharing for label in shared})
    if unknown := ", ".join(label for label in labels if label not in INSTRUMENTS):
        raise InputError(f"unknown labels {unknown}: add rows to INSTRUMENTS in rendering/music.py")
    return labels
