"""Pages to look at and listen to what was recognised: one HTML file per recording.

A page needs only a browser, and no network. Anything from outside, such as file names, is embedded
as data, in which nothing can run; the page may load only what it embeds, and its audio.
"""

import base64
import html
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import numpy as np

from instrec.common import storage
from instrec.config import full_name
from instrec.data import audio
from instrec.reporting import recordings
from instrec.scoring import recognition
from instrec.scoring.recognition import Recogniser, Recognition
from settings import NOTHING

INDEX = "index"  # page that lists those of a folder, without an ending
TEMPLATE, INDEX_TEMPLATE = map(Path(__file__).with_name, ("page.html", "index.html"))
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz
EMBEDDED = 3_000_000  # bytes of audio that a page embeds; larger files lie beside it
DYNAMIC_RANGE = 80  # dB of the spectrogram


def write(folder: Path, name: str, path: Path, recogniser: Recogniser, found: Recognition) -> Path:
    """Write the page of a recording, and its audio beside it if that is large.

    Parameters
    ----------
    folder : Path
        Where to write.
    name : str
        Of the page, without an ending.
    path : Path
        The recording.
    recogniser : Recogniser
        What recognised it.
    found : Recognition
        What was found.

    Returns
    -------
    Path
        The page.
    """
    sound = folder / f"{name}.opus"
    with storage.whole(sound) as partial:
        write_opus(path, partial)
    source = quote(os.fsencode(sound.name))
    if sound.stat().st_size <= EMBEDDED:
        source = _data_url(sound.read_bytes(), "audio/ogg")
        sound.unlink()
    page = folder / f"{name}.html"
    text = render(path, recogniser, found, source)
    storage.save(page, text.encode(errors="replace"))  # a file name need not be valid text
    return page


def is_of_page(path: Path) -> bool:
    """Tell whether an audio file belongs to a page beside it, and is no recording itself.

    Parameters
    ----------
    path : Path
        An audio file.

    Returns
    -------
    bool
    """
    return path.suffix == ".opus" and path.with_suffix(".html").exists()


def write_opus(path: Path, target: Path) -> None:
    """Convert a recording of any format to Opus, which browsers play.

    Parameters
    ----------
    path : Path
        Any audio file.
    target : Path
        The Ogg file.
    """
    import soundfile
    import soxr

    # Problems with the file were reported when it was recognised.
    with audio.notes(), audio.open_audio(path) as sound:
        channels = sound.channels if sound.channels <= 2 else 1  # more are averaged
        rate = sound.samplerate if sound.samplerate in OPUS_RATES else 48000
        resampler = soxr.ResampleStream(sound.samplerate, rate, channels)
        with (
            audio.writing(target),
            soundfile.SoundFile(
                audio.name_of(target), "w", rate, channels, "OPUS", format="OGG"
            ) as out,
        ):
            # In blocks: writing a whole file at once overflows the encoder's stack.
            for block in sound.blocks:
                heard = block if channels == sound.channels else block.mean(axis=1, keepdims=True)
                out.write(np.clip(resampler.resample_chunk(heard), -1, 1))
            rest = np.zeros((0, channels), np.float32)
            out.write(np.clip(resampler.resample_chunk(rest, last=True), -1, 1))


def render(path: Path, recogniser: Recogniser, found: Recognition, source: str) -> str:
    """Return the page of a recording.

    Parameters
    ----------
    path : Path
        The recording, for its name.
    recogniser : Recogniser
        What recognised it.
    found : Recognition
        What was found.
    source : str
        Address of the audio.

    Returns
    -------
    str
        HTML.
    """
    shown = [recogniser.labels.index(label) for label in found.table.index]
    active = recognition.activity(found.predictions[:, shown], recogniser.strategy, found.loud)
    data = {
        "name": path.name,
        "audio": source,
        "seconds": found.seconds,
        "says": recordings.sentence(found),
        "names": [full_name(label) for label in found.table.index],
        "columns": found.table.drop(columns="segments").round(6).to_dict("list"),
        "edges": found.edges.round(3).tolist(),
        "active": _data(np.round(255 * np.clip(active, 0, 1)).astype(np.uint8).T),
        "none": found.is_none,
        "noneSegments": found.none_segments,
        "top": found.sample_rate / 2,
        "image": _data_url(_png(found.spectrogram), "image/png"),
        "model": _about(recogniser),
        "csv": recordings.as_csv(recordings.as_frame({path.name: found})),
        "jams": json.dumps(recordings.as_jams(recogniser, path.name, found), indent=1),
        "audacity": recordings.as_audacity(found),
    }
    # '<' is escaped, so that no name can end the script that holds it.
    carried = json.dumps(data).replace("<", "\\u003c")
    return _filled(TEMPLATE, TITLE=html.escape(path.name), DATA=carried)


def _filled(template: Path, **content: str) -> str:
    """Replace all marks by content in one pass, so that a name that looks like a mark stays."""
    text = template.read_text(encoding="utf-8")
    return re.sub("%([A-Z]+)%", lambda mark: content[mark[1]], text)


def write_index(folder: Path, names: Mapping[Path, str], found: Mapping[str, Recognition]) -> None:
    """Write the index of a folder of pages.

    Parameters
    ----------
    folder : Path
        Where the pages are.
    names : mapping of str
        Name of the page, by recording.
    found : mapping of Recognition
        By recording, in the order of the list.
    """
    style = TEMPLATE.read_text(encoding="utf-8").partition("<style>")[2].partition("</style>")[0]
    rows = "".join(
        f'<tr><td><a href="{html.escape(quote(os.fsencode(names[Path(name)])))}.html">'
        f"{html.escape(name)}</a></td>"
        f"<td>{recordings.clock(recording.seconds)}</td>"
        f"<td>{html.escape(recordings.sentence(recording))}</td></tr>"
        for name, recording in found.items()
    )
    title = f"{len(found)} recording{'s' * (len(found) != 1)}"
    text = _filled(INDEX_TEMPLATE, TITLE=title, STYLE=style, ROWS=rows)
    storage.save(folder / f"{INDEX}.html", text.encode(errors="replace"))


def _about(recogniser: Recogniser) -> str:
    files, record = recogniser.files, recogniser.records[0]
    right = recogniser.share_right()
    kinds = len([label for label in recogniser.labels if label != NOTHING])
    text = (
        f"{files.model}.{files.optimizer}, on {record['trained_on']} of "
        f"{record['recipe']['data_set']}: it knows {kinds} instruments, and takes others for them "
        "or for none. Strength is relative to the strongest instrument of the recording."
    )
    if right is not None:
        text += f" Of what passes its threshold on test clips like its own, {right:.0%} is right; "
        text += "of other recordings, expect less."
    return text


def _png(spectrogram: np.ndarray) -> bytes:
    """Draw log-mel values [bands x columns] as a grey picture; the page colours nothing else."""
    from PIL import Image

    top = spectrogram.max()
    decibels = (spectrogram - top) * 20 / np.log(10)
    grey = np.clip(255 * (1 + decibels / DYNAMIC_RANGE), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey[::-1]).save(file, "png", optimize=True)
    return file.getvalue()


def _data(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
