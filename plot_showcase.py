#!/usr/bin/env python3
"""Show what one or more models hear in several solos, like Fig. 5.23 of the thesis.

  python3 plot_showcase.py solos/ -m scratch_solo -d -2
  python3 plot_showcase.py solos/ -m scratch_solo transfer_solo -d -2

Takes the audio files of a folder, such as six solos of ten seconds: each lies in a folder named
after its label, or its name starts with the label, like 'ts_coltrane.wav'. Writes showcase.png and
.pdf: the spectrogram of all, and each model's outputs for single patches and for each solo as a
whole, with the true labels outlined. Models of separated audio separate first.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from instrec.common import command
from instrec.data import metadata
from instrec.errors import InputError, about
from instrec.figures import sound, style
from instrec.learning import model_files
from instrec.scoring.recognition import Recogniser
from settings import OPTIMIZERS


def solos_in(folder: Path, labels: Sequence[str]) -> dict[Path, str]:
    """Find the audio files of a folder, and the label that each is named after.

    Parameters
    ----------
    folder : Path
        Audio files, named after labels or in folders that are.
    labels : sequence of str
        Of the data set.

    Returns
    -------
    dict of str
        Label by file.

    Raises
    ------
    InputError
        If there is none, or one is named after no label.
    """
    found, lower = {}, {label.lower(): label for label in labels}
    for path in sorted(folder.rglob("*")):
        if metadata.is_audio(path):
            names = [path.parent.name, *re.split(r"[^A-Za-z0-9]", path.stem)[:1]]
            named = [lower[name.lower()] for name in names if name.lower() in lower]
            if not named:
                raise InputError(
                    f"expected {path} to be called after a label, {', '.join(labels)}, or to lie "
                    "in a folder that is"
                )
            found[path] = named[0]
    if not found:
        raise InputError(f"expected audio files in {folder}, found none")
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Recognise and draw what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("-m", "--models", nargs="+", required=True, metavar="MODEL_NAME")
    parser.add_argument("-o", "--optimizer", choices=OPTIMIZERS, default="adam", help="(adam)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to (here)")
    arguments, config = command.parse(parser, argv)
    config = command.choose_data_set(config)
    solos = solos_in(arguments.folder, config.labels)
    found = {}
    for name in arguments.models:
        files = model_files.model_files(config, name, arguments.optimizer)
        recogniser = Recogniser(files, "s1")  # as in the thesis
        found[name] = []
        for path in command.progress([*solos], unit="solo", desc=name):
            with about(path):
                found[name].append(recogniser.predict(path))
    figure = sound.showcase(found, [*solos.values()], config.labels, config.data_set.title)
    style.save(figure, arguments.out / "showcase")


if __name__ == "__main__":
    command.run(main)
