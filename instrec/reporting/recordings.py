"""Report what was recognised: on the screen, as tables, and for other programs."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from instrec.common import command, storage
from instrec.config import full_name
from instrec.data.metadata import LABEL_SEPARATOR
from instrec.scoring.recognition import Recogniser, Recognition
from settings import NOTHING

if TYPE_CHECKING:
    import pandas as pd

# Columns of the table; uncalibrated models lack the second.
NUMBERS = ("strength", "probability", "threshold")
THROUGHOUT = 0.9  # share of a recording in which an instrument plays 'throughout'
SORTS = ("file", "seconds", "strongest")


def clock(seconds: float) -> str:
    """Format a time: 75.4 -> '1:15.4'.

    Parameters
    ----------
    seconds : float
        A time.

    Returns
    -------
    str
    """
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes)}:{rest:04.1f}"


def times(segments: Sequence[tuple[float, float]]) -> str:
    """Format stretches of time: [(0, 2.5), (61, 70)] -> '0:00.0-0:02.5, 1:01.0-1:10.0'.

    Parameters
    ----------
    segments : sequence of (float, float)
        Start and end in seconds.

    Returns
    -------
    str
    """
    return ", ".join(f"{clock(start)}-{clock(end)}" for start, end in segments)


def sentence(found: Recognition) -> str:
    """Say in one sentence what plays: 'saxophone throughout, piano from 0:12'.

    Parameters
    ----------
    found : Recognition
        What was found in a recording.

    Returns
    -------
    str
        Instruments that are present, the strongest first.
    """
    playing = found.table[found.table["present"]]
    if found.is_none or playing.empty:
        closest = f" clearly; the closest is {full_name(found.table.index[0])}"
        none = f"none of the {len(found.table)} instruments"
        return none if found.is_none else none + closest
    return ", ".join(
        f"{full_name(label)} {_when(row.segments, found.seconds)}".rstrip()
        for label, row in playing.iterrows()
    )


def _when(segments: Sequence[tuple[float, float]], seconds: float) -> str:
    if not segments:
        return "somewhere"
    (start, _), (_, end) = segments[0], segments[-1]
    share = sum(b - a for a, b in segments) / seconds
    if share >= THROUGHOUT:
        return "throughout"
    from_start, to_end = start <= 1, seconds - end <= 1
    ends = "" if to_end else f" to {_minutes(end)}"
    when = f"until {_minutes(end)}" if from_start and ends else f"from {_minutes(start)}{ends}"
    when = "" if from_start and to_end else when
    return f"{when}{' with breaks' if len(segments) > 1 else ''}".strip()


def _minutes(seconds: float) -> str:
    return clock(round(seconds)).split(".")[0]


def print_recognition(name: str, found: Recognition) -> None:
    """Print the table of one file.

    Parameters
    ----------
    name : str
        Of the file.
    found : Recognition
        What was found.
    """
    print(f"\n{name} ({clock(found.seconds)})")
    if found.note:
        print(f"note: {found.note}")
    numbers = [name for name in NUMBERS if name in found.table]
    command.print_table(
        ("instrument", *numbers, "plays", "when"),
        [
            (
                instrument,
                *(f"{row[name]:.2f}" for name in numbers),
                "yes" if row.present else "",
                times(row.segments),
            )
            for instrument, row in found.table.iterrows()
        ],
        text_last=True,
    )
    print(sentence(found))


def as_frame(everything: dict[str, Recognition]) -> "pd.DataFrame":
    """Join the tables of all files: one row per file and instrument, segments as text.

    The column `none` says whether none of the instruments plays in the file.

    Parameters
    ----------
    everything : dict of Recognition
        By file.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    tables = {
        name: found.table.assign(
            segments=[";".join(f"{a:g}-{b:g}" for a, b in row) for row in found.table.segments],
            none=found.is_none,
        )
        for name, found in everything.items()
    }
    return pd.concat(tables, names=["file"]).reset_index()


def summary(everything: Mapping[str, Recognition], order: str = "file") -> "pd.DataFrame":
    """Make one table of many recordings, one row each.

    Parameters
    ----------
    everything : mapping of Recognition
        By file.
    order : {'file', 'seconds', 'strongest'} or a label
        Sorts rows by file name, length, strongest instrument, or the strength of one label.

    Returns
    -------
    pandas.DataFrame
        Columns file, seconds, instruments (labels that are present, strongest first, or 'none'),
        strongest (one label, or 'none'), and the strength of each label.
    """
    import pandas as pd

    rows = []
    for name, found in everything.items():
        present = list(found.table.index[found.table["present"]])
        row = {"file": name, "seconds": round(found.seconds, 1)}
        row["instruments"] = NOTHING if found.is_none else LABEL_SEPARATOR.join(present)
        row["strongest"] = NOTHING if found.is_none else found.table.index[0]
        rows.append(row | found.table["strength"].sort_index().to_dict())
    table = pd.DataFrame(rows)
    return table.sort_values(order, ascending=order in SORTS, kind="stable", ignore_index=True)


def print_summary(table: "pd.DataFrame") -> None:
    """Print a table of `summary`, without the strengths.

    Parameters
    ----------
    table : pandas.DataFrame
        From `summary`.
    """
    rows = [
        (
            row.file,
            clock(row.seconds),
            ", ".join(map(full_name, row.instruments.split(LABEL_SEPARATOR))) or "nothing certain",
        )
        for row in table.itertuples()
    ]
    print()
    command.print_table(("file", "length", "instruments"), rows, text_last=True)


def as_csv(table: "pd.DataFrame") -> str:
    """Return a table of `as_frame` or `summary` as CSV.

    Parameters
    ----------
    table : pandas.DataFrame
        The table.

    Returns
    -------
    str
    """
    return table.to_csv(index=False, float_format="%.4f")


def as_json(recogniser: Recogniser, everything: dict[str, Recognition]) -> dict:
    """Return everything that was found, and which model found it.

    Parameters
    ----------
    recogniser : Recogniser
        The model.
    everything : dict of Recognition
        By file.

    Returns
    -------
    dict
        Ready to be saved as JSON.
    """
    return {
        "model": f"{recogniser.files.model}.{recogniser.files.optimizer}",
        "data_set": recogniser.records[0]["recipe"]["data_set"],
        "weights": [record["weights"] for record in recogniser.records],
        "strategy": recogniser.strategy,
        "files": {
            name: {
                "seconds": round(found.seconds, 3),
                "none": found.is_none,
                "none_segments": found.none_segments,
                "instruments": found.table.round(4).to_dict("index"),
            }
            for name, found in everything.items()
        },
    }


def as_jams(recogniser: Recogniser, name: str, found: Recognition) -> dict:
    """Return a JAMS document: an open tag for each stretch of time in which an instrument plays.

    Stretches without any are tagged 'none', with no confidence.

    Parameters
    ----------
    recogniser : Recogniser
        The model.
    name : str
        Of the file.
    found : Recognition
        What was found.

    Returns
    -------
    dict
    """
    tags = stretches(found) + [(start, end, NOTHING, None) for start, end in found.none_segments]
    data = [
        {
            "time": start,
            "duration": round(end - start, 2),
            "value": value,
            "confidence": None if strength is None else round(strength, 4),
        }
        for start, end, value, strength in tags
    ]
    empty = ("version", "corpus", "annotation_rules", "validation")
    metadata = dict.fromkeys(empty, "") | {
        "curator": {"name": "", "email": ""},
        "annotator": {},
        "annotation_tools": f"instRecCnn {recogniser.files.model}.{recogniser.files.optimizer}",
        "data_source": "program",
    }
    annotation = {
        "annotation_metadata": metadata,
        "namespace": "tag_open",
        "data": sorted(data, key=lambda tag: (tag["time"], tag["value"])),
        "sandbox": {},
        "time": 0,
        "duration": found.seconds,
    }
    about = {"title": Path(name).stem, "artist": "", "release": "", "duration": found.seconds}
    about |= {"identifiers": {}, "jams_version": "0.3.4"}
    return {"annotations": [annotation], "file_metadata": about, "sandbox": {}}


class Journal:
    """What was found so far, one line per recording, so that an interrupted run can resume.

    Parameters
    ----------
    table : Path or None
        The table written at the end; the journal lies beside it. None keeps no journal.
    made_with : list of str
        What determines the results; a journal made with anything else is restarted.
    """

    def __init__(self, table: Path | None, made_with: list[str]) -> None:
        self.path = table and table.with_name(f"{table.name}.journal")
        self._found: dict[tuple, Recognition] = {}
        head = json.dumps(made_with)
        lines = []
        if self.path and self.path.exists():  # its end may be cut off, or damaged
            lines = self.path.read_text(errors="replace").splitlines()
        if lines[:1] == [head]:
            for line in lines[1:]:
                with contextlib.suppress(json.JSONDecodeError):  # such a line is left out
                    key, entry = json.loads(line)
                    self._found[tuple(key)] = entry
        elif self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(head)

    def known(self, path: Path) -> Recognition | str | None:
        """Return what was found in a recording, if it is still the same file.

        Parameters
        ----------
        path : Path
            Audio file.

        Returns
        -------
        Recognition, or None; or str, why it is left out
            Without predictions and spectrogram.
        """
        entry = self._found.get(self._key(path))
        if not isinstance(entry, dict):
            return entry
        import pandas as pd

        table = pd.DataFrame(entry["table"]).set_index("instrument")
        others = {name: value for name, value in entry.items() if name != "table"}
        return Recognition(table, np.empty((0, 0)), np.empty((0, 0)), np.empty(0), **others)

    def add(self, path: Path, found: Recognition | str) -> None:
        """Record what was found in a recording, or why it is left out.

        Parameters
        ----------
        path : Path
            Audio file.
        found : Recognition or str
            As `recognition.recognise` returns it.
        """
        if self.path is None or self._key(path) in self._found:
            return
        entry = found
        if isinstance(found, Recognition):
            names = ("seconds", "sample_rate", "is_none", "none_segments", "note")
            entry = {name: getattr(found, name) for name in names}
            entry["table"] = found.table.reset_index().to_dict("list")
        with self.path.open("a") as file:
            file.write(f"\n{json.dumps([self._key(path), entry])}")  # the last line may be cut off

    def remove(self) -> None:
        """Remove the journal, once the table is written."""
        if self.path:
            self.path.unlink(missing_ok=True)

    @staticmethod
    def _key(path: Path) -> tuple:
        return str(path.absolute()), *storage.state_of(path)


def stretches(found: Recognition) -> list[tuple[float, float, str, float]]:
    """List start and end in seconds, label and strength of all that plays, ordered by time.

    Parameters
    ----------
    found : Recognition
        What was found.

    Returns
    -------
    list of (float, float, str, float)
    """
    return sorted(
        (start, end, label, float(row.strength))
        for label, row in found.table.iterrows()
        for start, end in row.segments
    )


def as_audacity(found: Recognition) -> str:
    """Return an Audacity label track: start, end and name, separated by tabs.

    Parameters
    ----------
    found : Recognition
        What was found.

    Returns
    -------
    str
    """
    return "".join(f"{a:.3f}\t{b:.3f}\t{full_name(who)}\n" for a, b, who, _ in stretches(found))


def as_regions(found: Recognition) -> str:
    """Return a CSV file of regions for Sonic Visualiser: time, value, duration, label.

    Parameters
    ----------
    found : Recognition
        What was found.

    Returns
    -------
    str
    """
    return "".join(
        f'{a:.3f},{strength:.4f},{b - a:.3f},"{full_name(who)}"\n'
        for a, b, who, strength in stretches(found)
    )
