#!/usr/bin/env python3
"""Picture what a trained model listens to: which parts of a recording speak for an instrument.

  python3 plot_attribution.py song.wav
  python3 plot_attribution.py song.wav -m model_leaky -o adam -d 1 --label vio --out pictures

Takes the strongest instrument of the recording, or that of --label, and the patch in which the
output for it is highest. Writes attribution_<name>_<label>.png and .pdf: the log-mel spectrogram of
that patch, and how much each of its cells raises (orange) or lowers (blue) the output, compared
with silence: integrated gradients (M. Sundararajan, A. Taly and Q. Yan, "Axiomatic attribution for
deep networks", ICML 2017). Attributions add up to the output for the patch minus that for silence.
All trainings are averaged, and a model of separated audio first separates the recording.
"""

from collections.abc import Sequence
from pathlib import Path

from instrec.common import command
from instrec.config import full_name
from instrec.errors import InputError, about
from instrec.figures import sound, style
from instrec.learning import model_files
from instrec.scoring import attribution
from instrec.scoring.recognition import Recogniser


def main(argv: Sequence[str] | None = None) -> None:
    """Explain and draw what the command line names.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments of the command line; those of this process by default.
    """
    parser = command.new_parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="audio file")
    command.add_model_options(parser)
    parser.add_argument("--label", help="instrument to explain (the strongest of the recording)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="folder (here)")
    arguments, config = command.parse(parser, argv)
    recogniser = Recogniser(model_files.to_recognise_with(config, arguments))
    if arguments.label not in (None, *recogniser.labels):
        raise InputError(
            f"expected --label to be one of {', '.join(recogniser.labels)} (the labels of "
            f"{recogniser.files.folder}), found {arguments.label!r}"
        )
    wanted = arguments.label and recogniser.labels.index(arguments.label)  # or the strongest one
    recogniser.warn_of_untrained()
    networks = recogniser.networks  # errors in loading are the model's, not the recording's
    with about(arguments.file):
        patch = recogniser.strongest_patch(arguments.file, wanted)
    moments = recogniser.means_and_stds
    found = attribution.against_silence(networks, patch.inputs, patch.label, means_and_stds=moments)
    label = recogniser.labels[patch.label]
    instrument = full_name(label)
    total = sum(float(cells.sum()) for cells in found.attributions)
    print(
        f"{arguments.file}: {instrument} is strongest from second {patch.start:.2f} on, with an "
        f"output of {found.output:.3f}\n"
        f"digital silence, a patch whose cells are all alike, has {found.baseline:.3f}; "
        f"the attributions add up to {total:+.3f}"
    )
    if found.baseline > found.output / 2:
        print(
            f"note: this model hears {instrument} in silence, too: the figure shows what changes "
            "its output from there, not all that it takes for the instrument"
        )
    inputs = [name if recogniser.is_separated else "the recording" for name in recogniser.folders]
    figure = sound.attribution(
        list(zip(inputs, patch.inputs, found.attributions, strict=True)),
        patch.start,
        recogniser.parameters,
        f"{arguments.file.name} · what speaks for {instrument}\n"
        f"output of {recogniser.files.model}: {found.output:.2f}, "
        f"for silence {found.baseline:.2f}",
    )
    style.save(figure, arguments.out / f"attribution_{arguments.file.stem}_{label}")


if __name__ == "__main__":
    command.run(main)
