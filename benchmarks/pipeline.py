#!/usr/bin/env python3
"""Measure the speed of every step against the same work done otherwise, in one run.

  pip install -r benchmarks/requirements.txt && python3 benchmarks/pipeline.py

extraction  log-mel spectrograms, against the published script's recipe: on one core, then on all
network     training and prediction of model_leaky, against PyTorch, eager, channels last
training    an epoch of train.py with everything on, against a bare loop of TensorFlow in memory
evaluation  the three modes of evaluate.py on as many clips and patches as IRMAS has
start-up    every script's --help, and its import

Audio is rendered into demo/pipeline the first time. What is compared takes turns, and every turn is
a process of its own where a library keeps threads; medians and the range of the ratios are printed.
Leave the machine alone meanwhile: about ten minutes on two cores.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
WORK = ROOT / "demo" / "pipeline"
PATHS = {
    "INSTREC_DATA_PATH": WORK / "data",
    "INSTREC_FEATURE_PATH": WORK / "features",
    "INSTREC_MODEL_PATH": WORK / "models",
}
os.environ |= {name: str(path) for name, path in PATHS.items()}  # before settings.py comes

import numpy as np  # noqa: E402

import create_encoding  # noqa: E402
import generate_dataset  # noqa: E402
import render_dataset  # noqa: E402
from instrec.common import command, storage  # noqa: E402
from instrec.common.parallel import ordered_map  # noqa: E402
from instrec.config import Config, read  # noqa: E402
from instrec.data import audio, features, metadata, tensors  # noqa: E402
from instrec.data.patch_writer import PatchWriter  # noqa: E402
from instrec.errors import InputError  # noqa: E402
from instrec.learning import model_files  # noqa: E402

CONFIG = read(dataset=1)
LABELS = CONFIG.labels
BATCH = 128  # of the comparisons of networks, as in the documentation
PATCHES = 8 * BATCH  # a turn
IRMAS_CLIPS = {"train": metadata.IRMAS_CLIPS[metadata.IRMAS_TRAIN]}
IRMAS_CLIPS["test"] = sum(metadata.IRMAS_CLIPS.values()) - IRMAS_CLIPS["train"]
IRMAS_PATCHES = {"train": 20115, "test": 96119}
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py") if path.name != "settings.py")


def apart(function: Callable[[], float]) -> float:
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function).result()


def in_turns(ours: Callable[[], float], theirs: Callable[[], float], repeats: int) -> list[str]:
    """Measure two rates in turn; return both medians, the median ratio and its range."""
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    medians = [statistics.median(rates) for rates in zip(*pairs, strict=True)]
    ratios = sorted(first / second for first, second in pairs)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return [f"{medians[0]:.1f}", f"{medians[1]:.1f}", ratio]


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
    """Clips a second of one process with one thread."""
    rates = ordered_map(rate_of, [(recipe, clips)], workers=1)
    return next(rates)


def rate_of(recipe: Callable[[Path], np.ndarray], clips: list[Path]) -> float:
    """Clips a second, once libraries are loaded and filters are made."""
    recipe(clips[0])
    started = time.perf_counter()
    for clip in clips:
        recipe(clip)
    return len(clips) / (time.perf_counter() - started)


def literal_patches(path: Path) -> np.ndarray:
    """What a worker of the literal recipe gives back: the patches of a clip."""
    return np.ascontiguousarray(
        features.cut_patches(literal(path)[..., None], CONFIG.patch_frames, CONFIG.patch_frames)
    )


def all_cores_rate(*, with_ours: bool, clips: list[Path]) -> float:
    """Clips a second of all processes together, starting them included, tensors written."""
    started = time.perf_counter()
    if with_ours:
        generate_dataset.GenerateDataset(
            CONFIG.patch_frames, len(LABELS), CONFIG.val_split, config=CONFIG
        ).run("train", force=True)
    else:
        with multiprocessing.get_context("spawn").Pool() as pool:
            np.save(WORK / "literal.npy", np.concatenate(pool.map(literal_patches, clips)))
    return len(clips) / (time.perf_counter() - started)


def extraction(repeats: int) -> list[tuple]:
    """Compare both recipes, and how far their results differ."""
    clips = sorted((CONFIG.data_path / "irmas" / metadata.IRMAS_TRAIN).glob("*/*.wav"))
    some = clips[::4]
    difference = max(np.abs(literal(clip) - ours(clip)).max() for clip in some[:20])
    print(f"largest difference of a value: {difference:.1e}")
    single = in_turns(
        partial(one_core_rate, ours, some), partial(one_core_rate, literal, some), repeats
    )
    every = in_turns(
        partial(all_cores_rate, with_ours=True, clips=clips),
        partial(all_cores_rate, with_ours=False, clips=clips),
        repeats,
    )
    unit, theirs = "clips/s", "literal recipe"
    return [
        ("extraction, one core", unit, theirs, *single),
        (f"extraction, {os.cpu_count()} cores, all of it", unit, theirs, *every),
    ]


# --- the network ----------------------------------------------------------------------------------
def some_patches(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Training patches and their one-hot labels, in memory."""
    part = tensors.load(CONFIG, "train")
    rows = np.random.default_rng(0).permutation(len(part.file_id))[:count]
    return part.inputs[0][np.sort(rows)], np.eye(11, dtype=np.float32)[part.class_id[np.sort(rows)]]


def model_leaky() -> "keras.Model":  # noqa: F821
    """The network that is compared."""
    import models

    return models.get_model("model_leaky", CONFIG.features.patch_shape, len(LABELS))


def keras_rate(*, training: bool) -> float:
    """Patches a second of the network as train.py and evaluate.py run it."""
    from instrec.learning.backend import keras
    from instrec.learning.patches import Patches

    x, y = some_patches(PATCHES)
    network = model_leaky()
    network.compile(keras.optimizers.Adam(), "categorical_crossentropy")
    rows = np.arange(len(x))
    data = Patches([x], rows, BATCH, targets=y if training else None, shuffle_seed=(0,))
    run = partial(network.predict, data.stream(), steps=len(data), verbose=0)
    if training:
        steps = {"steps_per_epoch": len(data), "shuffle": False}  # `Patches` shuffles
        run = partial(network.fit, data.stream(), verbose=0, **steps)
    run()  # traces the graph
    started = time.perf_counter()
    run()
    return len(x) / (time.perf_counter() - started)


def torch_network() -> "torch.nn.Module":  # noqa: F821
    """The same network in PyTorch; paddings of 1 before and of 1 in a convolution are one of 2."""
    from torch import nn

    from models import blocks

    layers, channels = [], 1
    for filters in blocks.FILTERS:
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, blocks.KERNEL, padding=2)]
            layers += [nn.LeakyReLU(CONFIG.alpha)]
            channels = filters
        if filters != blocks.FILTERS[-1]:
            layers += [nn.MaxPool2d(blocks.POOL), nn.Dropout(blocks.BLOCK_DROPOUT)]
    layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, blocks.DENSE)]
    layers += [nn.LeakyReLU(CONFIG.alpha), nn.Dropout(blocks.DENSE_DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(blocks.DENSE, len(LABELS)), nn.Sigmoid())


def torch_rate(*, training: bool) -> float:
    """Patches a second of an eager loop over tensors in memory."""
    import torch

    x, y = some_patches(PATCHES)
    network = torch_network().to(memory_format=torch.channels_last)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 1_446_123, count
    inputs = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    inputs = inputs.to(memory_format=torch.channels_last)
    targets = torch.from_numpy(y)
    adam = torch.optim.Adam(network.parameters())
    network.train(training)

    def step(batch: slice) -> None:
        if not training:
            with torch.inference_mode():
                network(inputs[batch])
            return
        adam.zero_grad()
        outputs = network(inputs[batch])
        shares = outputs / outputs.sum(dim=1, keepdim=True)
        loss = -(targets[batch] * torch.log(shares.clamp(1e-7, 1 - 1e-7))).sum(dim=1).mean()
        loss.backward()
        adam.step()

    batches = [slice(first, first + BATCH) for first in range(0, len(x), BATCH)]
    step(batches[0])
    started = time.perf_counter()
    for batch in batches:
        step(batch)
    return len(x) / (time.perf_counter() - started)


def network(repeats: int) -> list[tuple]:
    """Compare training and prediction with PyTorch."""
    return [
        (
            f"{'training' if training else 'prediction'}, model_leaky, batch {BATCH}",
            "patches/s",
            "PyTorch eager",
            *in_turns(
                partial(apart, partial(keras_rate, training=training)),
                partial(apart, partial(torch_rate, training=training)),
                repeats,
            ),
        )
        for training in (True, False)
    ]


# --- training with everything on ------------------------------------------------------------------
EPOCHS = 4  # of which the first, which traces the graph, does not count


def trainer_rate() -> float:
    """Training patches a second of train.py: memory map, shuffling, validation, files, bars."""
    import train
    from instrec.learning import callbacks

    ends = []
    saved = callbacks.StateSaver.on_epoch_end  # the last of an epoch

    def timed(self: callbacks.StateSaver, *arguments: object) -> None:
        saved(self, *arguments)
        ends.append(time.perf_counter())

    callbacks.StateSaver.on_epoch_end = timed
    config = CONFIG.changed({"patience": EPOCHS}, "this benchmark")
    trainer = train.Trainer(model_leaky(), "adam", None, config=config)
    trainer.load_data()
    trainer.train(EPOCHS, BATCH, 1, overwrite=True)
    trainer.files.run_record(0).unlink()
    return len(trainer.train_rows) / statistics.median(np.diff(ends))


def bare_rate() -> float:
    """Training patches a second of a compiled step over arrays in memory, validation included."""
    from instrec.learning.backend import keras, tf

    part = tensors.load(CONFIG, "train")
    held = part.validation_mask(CONFIG, CONFIG.val_split)
    x, y = np.asarray(part.inputs[0]), np.eye(11, dtype=np.float32)[part.class_id]
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

    def epoch() -> None:
        rows = np.random.default_rng(0).permutation(np.flatnonzero(~held))
        for first in range(0, len(rows), BATCH):
            batch = rows[first : first + BATCH]
            step(x[batch], y[batch])
        for first in range(0, held.sum(), BATCH):
            validate(x[np.flatnonzero(held)[first : first + BATCH]])

    ends = []
    for _ in range(EPOCHS):
        epoch()
        ends.append(time.perf_counter())
    return np.sum(~held) / statistics.median(np.diff(ends))


def training(repeats: int) -> list[tuple]:
    """Compare an epoch of train.py with the bare loop."""
    rates = in_turns(partial(apart, trainer_rate), partial(apart, bare_rate), repeats)
    return [("an epoch of train.py", "patches/s", "bare TensorFlow loop", *rates)]


# --- evaluation -----------------------------------------------------------------------------------
def write_irmas_size(config: Config) -> None:
    """Write a data set of IRMAS' size: true labels and file lists, holes instead of patches."""
    rng = np.random.default_rng(0)
    config.feature_folder.mkdir(parents=True, exist_ok=True)
    generator = generate_dataset.GenerateDataset(43, len(LABELS), 0.85, config=config)
    for part, count in IRMAS_CLIPS.items():
        most = 1 if part == "train" else 3
        clips = [
            metadata.Clip(
                f"{i:05d}.wav", tuple(sorted(rng.permutation(LABELS)[: rng.integers(1, most + 1)]))
            )
            for i in range(count)
        ]
        metadata.write_metadata(metadata.path_of(config, part), clips)
        patches = np.diff(np.linspace(0, IRMAS_PATCHES[part], count + 1).astype(int)).tolist()
        folder = tensors.folder(config, part)
        writer = PatchWriter(folder, [], config.features.patch_shape)
        writer.done += [
            {"file": clip.filename, "patches": number, "reason": None, "sha256": ""}
            for clip, number in zip(clips, patches, strict=True)
        ]
        writer.close(finished=True)
        np.lib.format.open_memmap(
            folder / f"{tensors.input_name('irmas')}.npy",
            mode="w+",
            dtype=np.float32,
            shape=(IRMAS_PATCHES[part], *config.features.patch_shape),
        )
        filenames, labels = generator.load_metadata(metadata.path_of(config, part))
        recipe = generator.recipe(part, filenames)
        generator.finish(folder, filenames, labels, writer, recipe)


def write_predictions(config: Config, split: float, part: str) -> None:
    """Write the record of a trained network, and random outputs for all patches."""
    scored, trained_on = (tensors.load(config, name) for name in (part, "train"))
    held_out = part == "train"
    files = model_files.model_files(config, "model_leaky", "adam", split, held_out=held_out)
    recipe = scored.record["recipe"] | {"tensors": trained_on.fingerprint, "split": split}
    recipe |= {"split_by": config.split_by, "split_seed": config.seed}
    recipe |= {"balanced": config.balanced, "model": "model_leaky", "standardise": False}
    recipe |= {"validates": config.val_split if held_out else None}
    for iteration in range(config.iter_num):
        record = {"recipe": recipe, "weights": str(iteration), "best_accuracy": 0.5}
        record["settings"] = config.parameters()
        storage.save_json(files.run_record(iteration), record)
        outputs = np.random.default_rng(iteration).random((len(scored.file_id), 11), np.float32)
        storage.save_arrays(
            files.predictions(iteration),
            recipe=json.dumps([str(iteration), scored.fingerprint]),
            predictions=outputs,
        )


def seconds_of(*arguments: str, **environment: str) -> float:
    """Run a script; return how long it took."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def row_of_seconds(name: str, times: list[float]) -> tuple[str, ...]:
    """Return the row of what has nothing to be compared with."""
    return name, "s", "", f"{statistics.median(times):.2f}", "", ""


def evaluation(repeats: int) -> list[tuple]:
    """Time the modes of evaluate.py, the plots between them, for three trainings."""
    place = WORK / "irmas_size"
    paths = {
        "INSTREC_FEATURE_PATH": str(place / "features"),
        "INSTREC_MODEL_PATH": str(place / "models"),
    }
    config = dataclasses.replace(
        CONFIG, feature_path=place / "features", models_root=place / "models"
    )
    write_irmas_size(config)
    write_predictions(config, config.val_split, "test")
    write_predictions(config, 0.5, "train")
    model = ("-m", "model_leaky", "-o", "adam", "-d", "1")
    # The script would train for mode 1, which is not what is timed here.
    mode_1 = "import evaluate; from instrec.config import read; "
    mode_1 += "evaluate.Evaluator('model_leaky', 'adam', 11, 3, 1, config=read(dataset=1)).run()"
    rows = []
    for name, script in (
        ("mode 1", ("-c", mode_1)),
        ("mode 2", ("evaluate.py", *model, "-O", "2")),
        ("plots and optima", ("plot_perf_metrics.py", *model)),
        ("mode 3", ("evaluate.py", *model, "-O", "3")),
    ):
        times = [seconds_of(*script, **paths) for _ in range(repeats)]
        rows.append(row_of_seconds(f"evaluation, {name}, 3 trainings", times))
    return rows


# --- start-up -------------------------------------------------------------------------------------
def start_up(repeats: int) -> list[tuple]:
    """Time `--help` of every script."""
    return [
        row_of_seconds(f"{script} --help", [seconds_of(script, "--help") for _ in range(repeats)])
        for script in SCRIPTS
    ]


# --- the script -----------------------------------------------------------------------------------
SECTIONS = {
    "extraction": extraction,
    "network": network,
    "training": training,
    "evaluation": evaluation,
    "start-up": start_up,
}


def prepare() -> None:
    """Render IRMAS, and extract it, unless that is done."""
    for script in (render_dataset, create_encoding, generate_dataset):
        script.main(["-d", "1"])


def main() -> None:
    """Measure the sections that are asked for, and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", default=[], help="all if none is named")
    parser.add_argument("--repeats", type=int, default=5, help="turns (5)")
    arguments = parser.parse_args()
    for section in arguments.sections:
        if section not in SECTIONS:
            raise InputError(f"expected some of {' '.join(SECTIONS)}, found {section!r}")
    prepare()
    rows = []
    for name, measure in SECTIONS.items():
        if name in (arguments.sections or SECTIONS):
            rows += measure(arguments.repeats)
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    command.print_table(("step", "unit", "against", "ours", "theirs", "ratio"), rows)


if __name__ == "__main__":
    command.run(main)
