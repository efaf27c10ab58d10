#!/usr/bin/env python3
"""Measure the speed of every step against the same work done in another way, in one run.

  python3 benchmarks/pipeline.py

extraction  log-mel spectrograms, against the published script's recipe: on one core, then on all
network     training and prediction of model_leaky, as train.py and evaluate.py run them
training    an epoch of train.py with everything on, against a bare loop of TensorFlow in memory
start-up    every script's --help

Audio is rendered into demo/pipeline the first time. The two compared take turns, each turn in its
own process where a library keeps threads; medians and the range of the ratios are printed. Leave
the machine idle meanwhile: about ten minutes on two cores.
"""

import itertools
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WORK = ROOT / "demo" / "pipeline"
for variable, folder in (("DATA", "data"), ("FEATURE", "features"), ("MODEL", "models")):
    os.environ[f"INSTREC_{variable}_PATH"] = str(WORK / folder)  # before settings.py is imported

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import create_encoding  # noqa: E402
import generate_dataset  # noqa: E402
import render_dataset  # noqa: E402
from instrec.common import command, worker  # noqa: E402
from instrec.config import read  # noqa: E402
from instrec.data import audio, features, metadata, tensors  # noqa: E402

CONFIG = read(dataset=1)
LABELS = len(CONFIG.labels)
BATCH = 128  # as in the documentation
PATCHES = 8 * BATCH  # per turn
EPOCHS = 4  # per training; the first, which traces the graph, does not count

Rate = Callable[[], float]


def apart(function: Rate) -> float:
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function).result()


# --- extraction -----------------------------------------------------------------------------------
def literal(path: Path) -> np.ndarray:
    """Compute a spectrogram as the published script does: librosa alone, nothing kept."""
    import librosa

    y, _ = librosa.load(path, sr=22050)
    y = y / np.max(np.abs(y))
    spectrogram = np.abs(librosa.stft(y, win_length=1024, hop_length=512))
    mel = librosa.feature.melspectrogram(S=spectrogram, sr=22050, n_mels=128)
    return np.log(mel + np.finfo(np.float32).eps)


def ours(path: Path) -> np.ndarray:
    """Compute the same as generate_dataset.py does."""
    return features.log_mel(audio.load_audio(path))


def one_core_rate(recipe: Callable[[Path], np.ndarray], clips: list[Path]) -> float:
    """Return clips per second on one thread, once libraries are loaded and filters made."""
    with worker.one_thread():
        recipe(clips[0])
        began = time.perf_counter()
        for clip in clips:
            recipe(clip)
        return len(clips) / (time.perf_counter() - began)


def script_rate(clips: list[Path]) -> float:
    """Return clips per second of generate_dataset.py, starting and writing included."""
    began = time.perf_counter()
    generate_dataset.GenerateDataset(
        CONFIG.patch_frames, LABELS, CONFIG.val_split, config=CONFIG
    ).run("train", force=True)
    return len(clips) / (time.perf_counter() - began)


def literal_patches(path: Path) -> np.ndarray:
    """Return the patches of a clip by the literal recipe."""
    frames = CONFIG.patch_frames
    return np.ascontiguousarray(features.cut_patches(literal(path)[..., None], frames, frames))


def pool_rate(clips: list[Path]) -> float:
    """Return clips per second of the literal recipe in a process pool, writing included."""
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool() as pool:
        np.save(WORK / "literal.npy", np.concatenate(pool.map(literal_patches, clips)))
    return len(clips) / (time.perf_counter() - began)


def extraction() -> Iterator[tuple[str, Rate, Rate | None]]:
    """Compare both recipes, and print how far their results differ."""
    clips = sorted((CONFIG.data_path / "irmas" / metadata.IRMAS_TRAIN).glob("*/*.wav"))
    some = clips[::4]
    difference = max(np.abs(literal(clip) - ours(clip)).max() for clip in some[:20])
    print(f"largest difference of a value: {difference:.1e}")
    rates = (partial(one_core_rate, recipe, some) for recipe in (ours, literal))
    yield "extraction, one core, clips/s, against the literal recipe", *rates
    rates = (partial(rate, clips) for rate in (script_rate, pool_rate))
    yield "generate_dataset.py, clips/s, against the literal recipe in a pool", *rates


# --- the network ----------------------------------------------------------------------------------
def model_leaky() -> "keras.Model":  # noqa: F821
    """Return the network that is timed."""
    import models

    return models.get_model("model_leaky", CONFIG.features.patch_shape, LABELS)


def keras_rate(*, training: bool) -> float:
    """Return patches per second of the network as train.py and evaluate.py run it."""
    from instrec.learning.backend import keras
    from instrec.learning.patches import Patches

    part = tensors.load(CONFIG, "train")
    rows = np.sort(np.random.default_rng(0).permutation(len(part.file_id))[:PATCHES])
    x, y = part.inputs[0][rows], np.eye(LABELS, dtype=np.float32)[part.class_id[rows]]
    network = model_leaky()
    network.compile(keras.optimizers.Adam(), "categorical_crossentropy")
    data = Patches(
        [x], np.arange(len(x)), BATCH, targets=y if training else None, shuffle_seed=(0,)
    )

    def run() -> None:
        if training:
            steps = {"steps_per_epoch": len(data), "shuffle": False}  # `Patches` shuffles
            network.fit(data.stream(), verbose=0, **steps)
        else:
            for (batch,) in itertools.islice(data.batches(), len(data)):
                network.predict_on_batch(batch)

    run()  # traces the graph
    began = time.perf_counter()
    run()
    return len(x) / (time.perf_counter() - began)


def network() -> Iterator[tuple[str, Rate, Rate | None]]:
    """Time training and prediction on their own; the next section compares."""
    for name, training in (("training", True), ("prediction", False)):
        yield f"{name}, patches/s", partial(apart, partial(keras_rate, training=training)), None


# --- training with everything on ------------------------------------------------------------------
def trainer_rate() -> float:
    """Return training patches/s of train.py: memory map, shuffling, validation, files, bars."""
    import train
    from instrec.learning import callbacks

    ends = []
    saved = callbacks.StateSaver.on_epoch_end  # runs last in an epoch

    def timed(self: callbacks.StateSaver, *arguments: object) -> None:
        saved(self, *arguments)
        ends.append(time.perf_counter())

    callbacks.StateSaver.on_epoch_end = timed
    config = CONFIG.changed({"patience": EPOCHS}, "this benchmark")
    trainer = train.Trainer(model_leaky(), "adam", None, config=config)
    trainer.load_data()
    trainer.train(EPOCHS, BATCH, 1, overwrite=True)
    trainer.files.run_record(0).unlink()
    return len(trainer.train_rows) / np.median(np.diff(ends))


def bare_rate() -> float:
    """Return training patches/s of a compiled step over arrays in memory, validation included."""
    from instrec.learning.backend import keras, tf

    part = tensors.load(CONFIG, "train")
    held = part.validation_mask(CONFIG, CONFIG.val_split)
    x, y = np.asarray(part.inputs[0]), np.eye(LABELS, dtype=np.float32)[part.class_id]
    network = model_leaky()
    adam = keras.optimizers.Adam()
    adam.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(patches: "tf.Tensor", targets: "tf.Tensor") -> None:
        with tf.GradientTape() as tape:
            outputs = network(patches, training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, outputs))
        weights = network.trainable_weights
        adam.apply(tape.gradient(loss, [weight.value for weight in weights]))

    @tf.function(reduce_retracing=True)
    def validate(patches: "tf.Tensor") -> "tf.Tensor":
        return network(patches, training=False)

    ends = []
    for _ in range(EPOCHS):
        rows = np.random.default_rng(0).permutation(np.flatnonzero(~held))
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            step(x[batch], y[batch])
        for first in range(0, held.sum(), BATCH):
            validate(x[np.flatnonzero(held)[first : first + BATCH]])
        ends.append(time.perf_counter())
    return np.sum(~held) / np.median(np.diff(ends))


def training() -> Iterator[tuple[str, Rate, Rate | None]]:
    """Compare an epoch of train.py with the bare loop."""
    rates = (partial(apart, rate) for rate in (trainer_rate, bare_rate))
    yield "an epoch of train.py, patches/s, against a bare TensorFlow loop", *rates


# --- start-up -------------------------------------------------------------------------------------
def help_seconds(script: Path) -> float:
    """Run a script's --help; return how long it took."""
    began = time.perf_counter()
    command_ = [sys.executable, script, "--help"]
    subprocess.run(command_, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def start_up() -> Iterator[tuple[str, Rate, Rate | None]]:
    """Time `--help` of every script; there is nothing to compare it with."""
    for path in sorted(ROOT.glob("*.py")):
        if path.name != "settings.py":
            yield f"{path.name} --help, s", partial(help_seconds, path), None


# --- the script -----------------------------------------------------------------------------------
SECTIONS = {"extraction": extraction, "network": network, "training": training}
SECTIONS["start-up"] = start_up


def main() -> None:
    """Measure the sections that are asked for, and print one table."""
    parser = command.plain_parser(__doc__)
    parser.add_argument("sections", nargs="*", default=[*SECTIONS], help="some of them (all)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (5)")
    arguments = parser.parse_args()
    for script in (render_dataset, create_encoding, generate_dataset):  # skips what is done
        script.main(["-d", "1"])
    rows = {}
    for section in arguments.sections:
        for step, first, second in SECTIONS[section]():
            turns = [(first(), second() if second else np.nan) for _ in range(arguments.repeats)]
            found = pd.DataFrame(turns, columns=["here", "compared with"])
            ratios = (found["here"] / found["compared with"]).describe()
            median = ratios[["50%", "min", "max"]].set_axis(["ratio", "from", "to"])
            rows[step] = pd.concat([found.median(), median])
    print(f"{os.cpu_count()} cores")
    print(pd.DataFrame(rows).T.round(2).to_string())


if __name__ == "__main__":
    command.run(main)
