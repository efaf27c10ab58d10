"""Training, mostly of a tiny network, for the real ones take minutes."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from conftest import (
    ROOT,
    TINY,
    assert_trained_alike,
    changed,
    contents,
    interrupted,
    new_trainer,
    record_of,
    refuses,
    script_environment,
    trained_on,
)

import settings
import train
from instrec.common import storage
from instrec.config import read
from instrec.data import splits, tensors
from instrec.errors import InputError
from instrec.learning import balance, model_files, trained


def train_tiny(**options):
    return trained_on(20, **options).files


def history_of(files, iteration=0):
    return np.load(files.history(iteration), allow_pickle=False)


def test_what_a_training_leaves(tiny, capsys):
    files = train_tiny(iter_num=2)
    assert files.folder == settings.MODEL_PATH / "model_tiny"
    assert sorted(contents(files.folder)) == sorted(
        f"model_tiny.adam{i}.{ending}"
        for i in (0, 1)
        for ending in ("history.npy", "best.hdf5", "json", "run.json")
    )
    assert "Epoch 3/" in capsys.readouterr().out
    # A structure does not tell what was trained before in the same process.
    assert files.structure(0).read_bytes() == files.structure(1).read_bytes()

    history = history_of(files)
    assert history.dtype.names == model_files.HISTORY_TYPE.names
    assert set(history["training_pass"]) == {1} and len(history) == 3
    assert all(np.isfinite(history[name]).all() for name in history.dtype.names)

    record = record_of(files)
    recipe = record["recipe"]
    assert recipe["labels"] == list(TINY.labels)
    assert recipe["windows"] == [1024] and recipe["hop_length"] == 512
    assert recipe["run_seed"] == 0 and recipe["batch_size"] == 8
    assert record["settings"]["learning_rate"] == 0.001
    assert set(record["made_with"]) == {"git_commit", "python", "packages"}
    assert record["training_patches"] == 45 and record["validation_patches"] == 9


def test_a_finished_training_is_kept_and_what_a_kill_left_beside_it_removed(tiny, capsys):
    files = train_tiny(epochs=1)
    times = files.best(0).stat().st_mtime_ns
    files.state(0).write_bytes(b"of a training that has finished since")
    for overwrite in (False, True):
        capsys.readouterr()
        train_tiny(epochs=1, overwrite=overwrite)
        assert files.best(0).stat().st_mtime_ns == times and not files.state(0).exists()
        assert "trained before" in capsys.readouterr().out


def test_the_best_weights_are_those_of_the_best_epoch(tiny):
    from instrec.learning.backend import keras

    settings.learning_rate, settings.seed = 100.0, 3  # the best epoch is not the last
    files = train_tiny(epochs=6)
    record, accuracies = record_of(files), history_of(files)["val_accuracy"]
    network = keras.models.model_from_json(files.structure(0).read_text())
    network.load_weights(files.best(0))
    trainer = new_trainer(20, network)
    rows = trainer.validation_rows
    predicted = network.predict(trainer.tensors.inputs[0][rows], verbose=0).argmax(axis=1)
    accuracy = np.mean(predicted == trainer.tensors.class_id[rows])
    assert accuracy == pytest.approx(accuracies.max())
    assert record["best_accuracy"] == pytest.approx(accuracy)
    assert record["best_epoch"] == accuracies.argmax() + 1 < len(accuracies)


def test_same_seed_same_history_and_iterations_differ(tiny):
    files = train_tiny(iter_num=2)
    assert not np.array_equal(history_of(files), history_of(files, 1))
    assert_trained_alike(files, train_tiny(name="again"))


CODE = """
import settings, train, test_train
settings.dataset = 20
test_train.train_tiny(epochs=8)
"""


def test_killed_training_goes_on_to_the_same_history_and_weights(tiny, tmp_path, capsys):
    """More kills, at any moment, in tests/faults/test_killed.py."""
    environment = script_environment(tmp_path, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}")
    with subprocess.Popen(
        [sys.executable, "-c", CODE], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert any(line.startswith("Epoch 3/") for line in process.stdout)
        process.kill()
    files = model_files.model_files(read(), "model_tiny", "adam")
    assert not files.run_record(0).exists()
    train_tiny(epochs=8)
    output = capsys.readouterr().out
    assert "going on after epoch" in output and "Epoch 1/" not in output
    assert_trained_alike(files, train_tiny(epochs=8, name="undisturbed"))


VARIED = {"schedule": "cosine", "augmentation": "noise start", "precision": "mixed_bfloat16"}


@pytest.mark.parametrize("optimizer", ("adam", "sgd"))
def test_an_interrupted_training_with_all_variants_goes_on_alike(tiny, optimizer):
    options = {"epochs": 5, "optimizer": optimizer}
    with changed(VARIED):
        with interrupted(epochs=3):
            train_tiny(**options)
        assert_trained_alike(train_tiny(**options), train_tiny(**options, name="whole"))


def test_each_variant_changes_the_training_and_is_in_its_record(tiny):
    plain = history_of(train_tiny(epochs=2))
    for name, value in VARIED.items():
        with changed({name: value, "name": name}):
            files = train_tiny(epochs=2)
        assert not np.array_equal(plain, history_of(files))
        assert record_of(files)["recipe"][name] == value
        refuses(f"{name}: .*--overwrite", train_tiny, epochs=2, name=name)


def test_a_network_trained_in_half_precision_is_like_any_other_afterwards(tiny):
    """Its weights, its structure and what it answers are in single precision."""
    files = [train_tiny(epochs=8)]
    with changed({"precision": "mixed_bfloat16", "name": "half"}):
        files.append(train_tiny(epochs=8))
    plain, half = (trained.load(each, 0, "").network() for each in files)
    assert {layer.compute_dtype for layer in half.layers} == {"float32"}
    patches = np.random.default_rng(0).normal(size=(16, *plain.input_shape[1:]))
    difference = np.abs(half.predict(patches, verbose=0) - plain.predict(patches, verbose=0))
    assert 0 < difference.max() < 0.1


def test_the_cosine_schedule_rises_and_falls_over_all_steps():
    from instrec.learning import optimizers

    course = optimizers.course("cosine", 0.01, 60)
    rates = np.array([float(course(step)) for step in range(61)])
    assert rates[0] == 0 and rates[60] == pytest.approx(0, abs=1e-9)
    assert rates.argmax() == 3 and rates.max() == pytest.approx(0.01)  # 5 % of 60 steps
    halfway = 3 + (60 - 3) / 2
    assert np.interp(halfway, np.arange(61), rates) == pytest.approx(0.005, rel=0.02)
    assert optimizers.course("constant", 0.01, 60) == 0.01


def test_trainings_of_other_settings_overwrite_all_of_before_when_told_to(tiny):
    files = train_tiny(epochs=1, iter_num=3)
    train_tiny(epochs=1, iter_num=2)  # of the same settings: the third stays
    refuses("batch_size: 8, not 4.*--overwrite", train_tiny, epochs=1, batch=4)
    assert files.finished() == [0, 1, 2]
    train_tiny(epochs=1, batch=4, iter_num=2, overwrite=True)
    assert files.finished() == [0, 1] and record_of(files)["recipe"]["batch_size"] == 4


def test_lost_weights_are_noticed(tiny):
    train_tiny(epochs=1).best(0).unlink()
    refuses(r"adam0\.best\.hdf5 is missing.*--overwrite", train_tiny, epochs=1)
    assert train_tiny(epochs=1, overwrite=True).best(0).exists()


def test_overwriting_is_refused_while_another_run_trains(tiny):
    files = train_tiny(epochs=1)
    before = files.run_record(0).read_bytes()
    refused = pytest.raises(InputError, match="another run is writing models")
    with train.storage.lock(files.folder, "models", name="model_tiny.adam."), refused:
        train_tiny(epochs=1, overwrite=True)
    assert files.run_record(0).read_bytes() == before
    assert files.best(0).exists()


def test_a_run_that_has_not_learnt_says_so(tiny, capsys):
    settings.learning_rate = 0.0
    train_tiny(epochs=1)
    shown = capsys.readouterr().out
    assert "warning: this training has not learnt" in shown and "(-b)" in shown
    settings.learning_rate = 0.01
    settings.seed = 1
    train_tiny(epochs=30, batch=4, overwrite=True)
    assert "not learnt" not in capsys.readouterr().out


def test_clearly_above_chance(capsys):
    for accuracy, patches, learnt in (
        *((1 / 11, 300, False), (0.12, 300, False), (0.2, 300, True), (0.2, 20, False)),
        (1.0, 1, True),  # it cannot be told, which is no warning
    ):
        record = {"best_accuracy": accuracy, "chance": 1 / 11, "validation_patches": patches}
        assert trained.has_learnt(record) == learnt
    trained.warn_unless_learnt(record)
    shown = capsys.readouterr().out
    assert "too few to tell" in shown and "warning" not in shown


def test_class_weights_are_inverse_to_the_number_of_patches(tiny):
    trainer = new_trainer(20)
    class_id = trainer.tensors.class_id[trainer.train_rows]
    distribution = balance.distribution(class_id, TINY.labels)
    assert distribution["patches"].to_dict() == {"cel": 15, "cla": 15, "flu": 15}
    distribution["patches"] = [10, 20, 30]
    expected = [2, 1, 2 / 3]
    assert balance.class_weights(distribution, TINY.labels) == pytest.approx(
        dict(enumerate(expected))
    )
    record = record_of(train_tiny(epochs=1, data_dist=distribution, optimizer="sgd"))
    assert list(record["class_weights"].values()) == pytest.approx(expected)
    refuses("label cla", balance.class_weights, distribution.drop("cla"), TINY.labels)


def test_what_is_held_out_validates_nothing(tiny):
    files = train_tiny(epochs=1, split=0.5, held_out=True)
    assert files.folder == settings.MODEL_PATH / "model_tiny" / "confusion_0.5"
    part = tensors.load(read(), "train")
    trains, validates = part.training_rows(read(), 0.5, held_out=True)
    held_out = np.flatnonzero(part.validation_mask(read(), 0.5))
    assert sorted(np.concatenate([trains, validates, held_out])) == list(range(54))
    # Of the 9 patches of a label that are not held out, int(0.85 * 9) = 7 train.
    assert np.bincount(part.class_id[trains]).tolist() == [7, 7, 7]
    assert np.bincount(part.class_id[validates]).tolist() == [2, 2, 2]
    record = record_of(files)
    assert (record["training_patches"], record["validation_patches"]) == (21, 6)
    record = record_of(train_tiny(epochs=1, split=0.5))  # the other half validates
    assert (record["training_patches"], record["validation_patches"]) == (27, 27)


def test_shuffling_takes_every_patch_once_and_differs_by_epoch():
    from instrec.learning.patches import Patches

    x = np.arange(10.0)[:, None]
    data = Patches([x], np.arange(3, 10), 4, targets=x, shuffle_seed=(0,))
    epochs, stream = [], data.batches()
    for _ in range(2):
        batches = list(itertools.islice(stream, len(data)))
        assert [len(targets) for _, targets in batches] == [4, 3]
        assert all(np.array_equal(inputs, targets) for inputs, targets in batches)
        epochs.append(np.concatenate([targets for _, targets in batches])[:, 0].tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(3, 10))
    assert epochs[0] != epochs[1]
    later = Patches([x], np.arange(3, 10), 7, targets=x, shuffle_seed=(0,), epoch=1)
    assert next(later.batches())[1][:, 0].tolist() == epochs[1]
    refuses("expected at least a patch .* found 0", Patches, [x], np.arange(0), 4)


def test_what_ends_while_it_is_read_is_named(tiny):
    trainer = new_trainer(20)
    path = tensors.folder(read(), "train") / "X_irmas.npy"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    refuses("X_irmas.npy is damaged: it ends", trainer.train, 2, 8, 1)


def test_documented_optimizers():
    from instrec.learning import optimizers

    adam = optimizers.make_optimizer("adam", 0.001, 400).get_config()
    assert (adam["beta_1"], adam["beta_2"]) == (0.9, 0.999)
    assert adam["epsilon"] == 1e-8 and adam["learning_rate"] == pytest.approx(0.001)
    sgd = optimizers.make_optimizer("sgd", 0.001, 400)
    assert sgd.momentum == 0.9 and sgd.nesterov
    schedule = sgd._learning_rate
    for step in (0, 100, 10**6):  # Keras 2: rate / (1 + decay * step)
        expected = 0.001 / (1 + 0.001 / 400 * step)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "dataset", "message"),
    [
        ("model_two_branch", 1, "does not fit IRMAS: use it with data set 8"),
        ("model_leaky", 8, "must be used with model_two_branch, not model_leaky"),
        ("model_baseline", 0, "IRMAS Multires must be used with model_multi_res"),
        ("model_multi_res", 2, "does not fit Monotimbral: use it with data set 0"),
        ("model_deep", 1, "expected a model among model_baseline"),
    ],
)
def test_wrong_pairs_are_refused_by_name(refused, model, dataset, message):
    assert message in refused("train.py", "-m", model, "-o", "adam", "-d", dataset)


def test_counts_below_one_are_refused(tiny, call):
    for counts in ({"epochs": 0}, {"batch": 0}, {"iter_num": 0}):
        refuses("1 or more, found 0", train_tiny, **counts)
    with pytest.raises(SystemExit, match="above 0, found 0"):
        call("train.py", "-m", "model_leaky", "-o", "adam", "-d", 20, "-e", 0)


def test_training_by_recording_leaks_nothing(tiny):
    settings.split_by = "recording"
    trainer = new_trainer(20)
    names = np.array(trainer.tensors.files)[trainer.tensors.file_id]
    sides = [
        {splits.recording_of(name) for name in names[rows]}
        for rows in (trainer.train_rows, trainer.validation_rows)
    ]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_without_patience_training_stops_at_the_first_worse_epoch(tiny):
    settings.learning_rate, settings.seed = 100.0, 3  # the loss soon rises
    lengths = {}
    for settings.patience in (0, 2):
        losses = history_of(train_tiny(epochs=40, overwrite=True))["val_loss"]
        best = losses.argmin()
        lengths[settings.patience] = len(losses) - 1 - best
        assert len(losses) < 40
    assert lengths == {0: 1, 2: 2}


def test_augmentations_are_those_that_settings_name():
    from instrec.learning import augmentation

    assert tuple(augmentation.AUGMENTATIONS) == settings.AUGMENTATIONS


def test_a_loss_that_is_no_number_ends_training_resumed_or_not(tiny, monkeypatch):
    from instrec.learning import callbacks

    check = callbacks.StateSaver.on_epoch_end

    def nan_in_epoch_2(self, epoch, logs):
        logs["loss"] = float("nan") if epoch == 1 else logs["loss"]
        return check(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.StateSaver, "on_epoch_end", nan_in_epoch_2)
        for _ in range(2):
            refuses("the loss of epoch 2 is not finite", train_tiny)
    state = model_files.model_files(read(), "model_tiny", "adam").state(0)
    saved = storage.load_arrays(state, "")
    storage.save_arrays(state, **saved | {"seconds": saved["seconds"] + 1000})
    files = train_tiny()
    assert np.isfinite(history_of(files)["loss"]).all()
    assert 1000 < record_of(files)["seconds"] < 1300  # of both sittings
