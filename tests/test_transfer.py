"""Transfer learning and variants of a model, with a tiny network: real ones take minutes."""

import dataclasses
import json
import re

import numpy as np
import pytest
from conftest import (
    SINGLE,
    TARGET,
    assert_trained_alike,
    changed,
    contents,
    extract,
    find_scores,
    interrupted,
    make_folders,
    record_of,
    refuses,
    tiny_network,
    trained_on,
)
from sklearn.preprocessing import StandardScaler

import evaluate
import models
import settings
import train
from instrec.config import read
from instrec.data import tensors
from instrec.errors import InputError
from instrec.learning import model_files, trained, transfer
from instrec.learning.transfer import TransferSource

SOURCE = "single_1024/model_tiny.adam"


def make_source(root):
    for id_, data_set in ((21, SINGLE), (22, TARGET)):
        make_folders(root, data_set.labels, files=6, folder=data_set.name)
        extract(id_)
    settings.learning_rate = 0.01
    trained_on(21, tiny_network(hidden=8), iter_num=2)


@pytest.fixture
def source(paths, made_once):
    """A tiny network trained twice on `single` (id 21), and tensors of `target` (id 22)."""
    made_once(paths, make_source)
    settings.learning_rate, settings.dataset = 0.01, 22
    return model_files.model_files(read(dataset=21), "model_tiny", "adam")


def transferred(optimizer="adam", **overrides):
    """Train on `target` from the tiny network; return the files."""
    with changed({"transfer_from": SOURCE, "iter_num": 2} | overrides):
        source = TransferSource(read())
        network = source.new_network(len(TARGET.labels))
        return trained_on(22, network, optimizer, source=source, iter_num=settings.iter_num).files


def weights(files, iteration):
    """Weights of each layer that has some, from the first to the last."""
    network = trained.load(files, iteration, "").network()
    return [layer.get_weights() for layer in network.layers if layer.get_weights()]


@pytest.mark.parametrize("optimizer", ("adam", "sgd"))
def test_frozen_means_frozen(source, optimizer):
    files = transferred(optimizer)
    for iteration in (0, 1):
        before, after = weights(source, iteration), weights(files, iteration)
        assert all(np.array_equal(a, b) for a, b in zip(before[0], after[0], strict=True))
        assert after[-1][0].shape == (8, 2)
    assert not np.array_equal(weights(files, 0)[0][0], weights(files, 1)[0][0])


def test_the_second_pass_moves_weights_of_the_body(source, monkeypatch):
    monkeypatch.setattr("instrec.learning.callbacks.StateSaver.is_best", lambda *_: True)
    files = transferred(transfer_passes=2, iter_num=1)
    assert set(np.load(files.history(0))["training_pass"]) == {1, 2}
    assert record_of(files)["recipe"]["passes"] == [
        {"learning_rate": settings.transfer_learning_rate, "frozen": True},
        {"learning_rate": settings.learning_rate, "frozen": False},
    ]
    assert not np.array_equal(weights(files, 0)[0][0], weights(source, 0)[0][0])


def test_the_output_layer_is_new_and_the_source_is_not_touched(source):
    before = contents(source.folder)
    files = transferred(transfer_output="softmax")
    network = trained.load(files, 0, "").network()
    assert network.layers[-1].activation.__name__ == "softmax"
    assert network.output_shape == (None, 2)
    assert files.model == "model_tiny_from_single_1024_one_pass_softmax"
    assert contents(source.folder) == before and files.folder != source.folder
    weights_of_source = record_of(source, 1)["weights"]
    assert record_of(files, 1)["recipe"]["transfer_from"] == [SOURCE, weights_of_source]


def test_a_kept_output_layer_trains_on_with_all_others(source):
    kept = {"transfer_from": SOURCE, "transfer_output": "kept", "iter_num": 1}
    config = read(dataset=21, **kept)
    start = TransferSource(config)
    network, before = start.new_network(3), trained.load(source, 0, "").network().get_weights()
    assert all(map(np.array_equal, network.get_weights(), before))
    network.set_weights([0 * array for array in before])
    start.copy_weights(0, network)
    assert all(map(np.array_equal, network.get_weights(), before))
    with changed(kept):
        files = trained_on(21, network, source=start, iter_num=1).files
    assert files.model == "model_tiny_from_single_1024_kept"
    recipe = record_of(files)["recipe"]
    assert recipe["passes"] == [{"learning_rate": settings.learning_rate, "frozen": False}]
    after = trained.load(files, 0, "").network().get_weights()
    assert not any(map(np.array_equal, before, after))
    refuses("for others, its output layer cannot be kept", TransferSource, read(dataset=22, **kept))
    with pytest.raises(InputError, match="transfer_passes to be 1 where the output layer is kept"):
        read(**kept, transfer_passes=2)


def test_a_transferred_model_is_evaluated_like_any(source, call):
    files = transferred(name="moved")
    moved = ("-m", "moved", "-o", "adam", "-d", 22)
    call("evaluate.py", *moved, "-O", 1, "-i", 2)
    find_scores(2, *moved)
    call("plot_history.py", *moved)
    assert json.loads(files.scores.read_text())["recipe"]["model"] == "moved"
    assert files.figure("history").with_name("moved.adam.history.png").exists()


def test_a_killed_transfer_goes_on_to_the_same_weights(source):
    whole = transferred(transfer_passes=2, iter_num=1, name="whole")
    for last in (1, 3, 4):  # in the first pass, at its end, in the second pass
        options = {"transfer_passes": 2, "iter_num": 1, "name": f"cut{last}"}
        with interrupted(last):
            transferred(**options)
        assert_trained_alike(whole, transferred(**options))


def test_a_kill_between_checkpoint_and_state_of_the_second_pass_changes_nothing(
    source, monkeypatch
):
    """The best weights, which the pass started from, are those of the pass itself by then."""
    monkeypatch.setattr("instrec.learning.callbacks.StateSaver.is_best", lambda *_: True)
    options = {"transfer_passes": 2, "iter_num": 1}
    with interrupted(4, "save_best"):  # the first epoch of the second pass
        transferred(**options, name="cut")
    whole = transferred(**options, name="whole")
    assert_trained_alike(whole, transferred(**options, name="cut"))


def test_the_model_that_comes_along_is_a_source_for_every_training(source, monkeypatch):
    monkeypatch.setattr(model_files, "PRETRAINED", SOURCE)
    monkeypatch.setattr(model_files, "PRETRAINED_ROOT", settings.MODELS_ROOT)
    monkeypatch.setattr("instrec.config.PRETRAINED", SOURCE)
    files = transferred(transfer_from="pretrained", iter_num=2)
    assert files.model == "model_tiny_from_single_1024_one_pass"
    (body, *_), (same, *_) = (weights(files, iteration) for iteration in (0, 1))
    assert all(map(np.array_equal, body, same))  # both from its first training


def test_patches_may_have_another_length_if_the_weights_fit(source):
    config = read(transfer_from="pretrained", iter_num=1, time_duration=2.0)
    start = TransferSource(config)
    network = start.new_network(5)
    assert network.inputs[0].shape[1:] == config.features.patch_shape
    assert network.outputs[0].shape[1:] == (5,)
    with_theirs = network.get_weights()
    start.copy_weights(0, network)
    assert all(map(np.array_equal, with_theirs, network.get_weights()))
    for seconds, frames in ((2.0, 86), (0.5, 21)):
        other = read(dataset=21, transfer_from=SOURCE, iter_num=1, time_duration=seconds)
        refuses(f"do not fit patches of {frames} frames", TransferSource(other).new_network, 3)


def test_a_transfer_never_replaces_its_source(source):
    settings.dataset = 21
    start = TransferSource(read(transfer_from=SOURCE, iter_num=1))
    with pytest.raises(InputError, match="cannot replace itself"):
        train.Trainer(start.new_network(3), "adam", None, source=start, name="model_tiny")


def test_iterations_trained_otherwise_are_not_mixed(source):
    settings.dataset = 21
    record = record_of(source, 1)
    other = record | {"recipe": record["recipe"] | {"patience": 9}}
    source.run_record(1).write_text(json.dumps(other))
    message = "iteration 1 was trained otherwise than iteration 0 .*patience"
    refuses(message, evaluate.Evaluator("model_tiny", "adam", 3, 2, 2).run)
    refuses(message, TransferSource, read(transfer_from=SOURCE, iter_num=2))


def test_fewer_iterations_than_were_trained_before_leave_the_others(source):
    files = transferred()
    before = contents(files.folder)
    assert transferred(iter_num=1) == files and contents(files.folder) == before


def test_standardising_what_starts_from_a_plain_model_is_refused(source):
    config = read(optimizer="adam", transfer_from=SOURCE, standardise=True, iter_num=1)
    refuses("was not standardised", train.train_model, config, "model_tiny")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transfer_from": "single_1024/model_tiny.sgd"}, "model_tiny.sgd0.best.hdf5.*train"),
        ({"transfer_from": "model_tiny"}, "<result key>/<model name>.<optimizer>"),
        ({"iter_num": 3}, "model_tiny.adam2.best.hdf5 to start from, found nothing"),
        ({"num_mel_bands": 64}, "other features.*num_mel"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(source, values, message):
    refuses(message, TransferSource, read(**{"transfer_from": SOURCE, "iter_num": 2} | values))


def test_a_changed_source_is_refused(source):
    source.best(0).write_bytes(b"other")
    refuses("not what training wrote", transferred)


# --- variants -------------------------------------------------------------------------------------
def standardised(name="", **options):
    with changed({"standardise": True, "name": name}):
        return trained_on(21, **options)


def test_standardisation_takes_the_training_patches_alone(source, call, monkeypatch):
    monkeypatch.setattr(tensors, "BLOCK", 7)
    trainer = standardised("std")
    patches = trainer.tensors.inputs[0][trainer.train_rows].astype(np.float64)
    ((mean, std),) = trainer.means_and_stds
    scaler = StandardScaler().fit(patches.reshape(len(patches), -1))
    np.testing.assert_allclose(mean.ravel(), scaler.mean_, rtol=1e-5)
    expected = np.maximum(np.sqrt(scaler.var_), tensors.MIN_STD)
    np.testing.assert_allclose(std.ravel(), expected, rtol=1e-5)
    assert mean.shape == (128, 43, 1) and mean[40].std() > 0  # by cell, and not by band
    ((saved_mean, saved_std),) = trained.load(trainer.files, 0, "").means_and_stds()
    assert np.array_equal(saved_mean, mean) and np.array_equal(saved_std, std)
    call("plot_history.py", "-m", "std", "-o", "adam", "-d", 21)
    assert trainer.files.figure("standardisation.png").exists()
    settings.dataset = 22  # a transfer keeps those of its source
    found = TransferSource(read(transfer_from="single_1024/std.adam", iter_num=1))
    np.testing.assert_array_equal(found.means_and_stds, trainer.means_and_stds)


def test_cells_that_are_always_the_same_do_not_explode(source, monkeypatch):
    monkeypatch.setattr(tensors, "BLOCK", 7)
    part = tensors.load(read(dataset=21), "train")
    x = np.random.default_rng(0).normal(-9, 2, (20, 4, 3, 1)).astype(np.float32)
    x[:, 0] = np.float32(-15.942385)
    held = dataclasses.replace(part, inputs=[x])
    ((mean, std),) = held.means_and_stds(np.arange(20))
    assert np.all(std[0] == np.float32(tensors.MIN_STD))
    assert np.abs((x[:, 0] - mean[0]) / std[0]).max() < 1e-4
    np.testing.assert_allclose(std[1:], x[:, 1:].std(axis=0), rtol=1e-5)


def test_means_and_stds_that_are_others_are_refused(source):
    trainer = standardised("std")
    training = trained.load(trainer.files, 0, "it again")
    path = trainer.files.means_and_stds(0)
    trained.save_means_and_stds(trainer.files, 0, [(m + 1, s) for m, s in trainer.means_and_stds])
    refuses("not what training wrote: run it again", training.means_and_stds)
    training.record["means_and_stds"] = trained.save_means_and_stds(
        trainer.files, 0, [(m[1:], s) for m, s in trainer.means_and_stds]
    )
    refuses(f"{path.name} is damaged.*expected the shape", training.means_and_stds)


def test_evaluation_standardises_as_training_did(source):
    trainer = standardised("std")  # settings say nothing of it afterwards
    evaluator = evaluate.Evaluator("std", "adam", 3, 1, 1)
    evaluator.load_test_data()
    (predicted,) = evaluator.load_model("std", "adam")
    mean, deviation = trainer.means_and_stds[0]
    patches = (np.asarray(evaluator.tensors.inputs[0])[evaluator.rows] - mean) / deviation
    network = trained.load(trainer.files, 0, "").network()
    np.testing.assert_allclose(predicted, network.predict(patches, verbose=0), atol=1e-6)


def test_a_variant_does_not_pass_for_the_plain_model(source):
    refuses("standardise: False, not True", standardised)


def test_an_ensemble_averages_outputs(source):
    settings.dataset = 21
    single = evaluate.Evaluator("model_tiny", "adam", 3, 2, 2)
    single.run()
    runs = single.load_model("model_tiny", "adam")
    with changed({"ensemble": True}):
        ensemble = evaluate.Evaluator("model_tiny", "adam", 3, 2, 2)
        ensemble.run()
        (mean,) = ensemble.load_model("model_tiny", "adam")
    np.testing.assert_allclose(mean, (runs[0] + runs[1]) / 2)
    assert ensemble.files.sweep.name == "ensemble_model_tiny.adam.sweep.json"
    assert json.loads(ensemble.files.sweep.read_text())["iterations"] == 1


def test_several_models_are_an_ensemble_from_its_thresholds_to_its_figures(source, call):
    import compare_models

    standardised("std")
    both = ("-m", "model_tiny+std", "-o", "adam", "-d", 21, "-i", 1)
    call("evaluate.py", *both, "-O", 2)
    call("plot_perf_metrics.py", "-m", "ensemble_model_tiny+std", "-o", "adam", "-d", 21)
    call("evaluate.py", *both, "-O", 3)
    files = model_files.model_files(read(dataset=21), "ensemble_model_tiny+std", "adam")
    scores = json.loads(files.scores.read_text())
    assert len(scores["recipe"]["weights"]) == 2 and scores["iterations"] == 1
    found = compare_models.load_results().global_res.loc["single_1024"]
    assert "ensemble_model_tiny+std" in found.index


@pytest.mark.parametrize("name", ["ensemble_x", "../x", "a/b", "a.b", "a b", "model_baseline"])
def test_names_that_files_cannot_have_are_refused(name):
    refuses(re.escape(name), model_files.trained_name, read(name=name), "model_leaky")


@pytest.mark.parametrize(
    ("source", "expected"),
    [("irmas_1024/a.adam", True), ("irmas_harm_1024/a.adam", True), ("jazz_db_1024/a.adam", False)]
    + [("pretrained", False)],
)
def test_a_source_of_the_same_audio_is_known(source, expected):
    assert transfer.shares_audio(source, settings.DATA_SETS[7]) == expected


@pytest.mark.parametrize(
    ("values", "split"),
    [
        ({"standardise": True}, 0.5),
        ({"standardise": True}, 0.6),  # of which there is no other training
        ({"split_by": "recording", "balanced": False, "patience": 2}, 0.5),
    ],
)
def test_mode_1_trains_its_half_as_the_same_variant(
    tiny, call, refused, monkeypatch, values, split
):
    monkeypatch.setattr(models, "model_names", lambda: ["model_tiny"])
    monkeypatch.setattr(models, "get_model", lambda *_: tiny_network())
    variant = ("-o", "adam", "-d", 20, "-i", 1)
    variant += ("-s", split) if split != 0.5 else ()
    values |= {"nb_epochs": 1, "batch_size": 8}
    with changed(values):
        call("train.py", "-m", "model_tiny", "--name", "variant", *variant)
    call("evaluate.py", "-m", "variant", "-O", 1, *variant)
    half = model_files.model_files(read(), "variant", "adam", split, held_out=True)
    recipe = record_of(half)["recipe"]
    assert {name: recipe[name] for name in values} == values
    own = None if split == 0.5 else split  # the published half stands in for the model's own
    assert model_files.model_files(read(), "variant", "adam", own).confusion.exists()
    call("evaluate.py", "-m", "variant", "-O", 1, *variant, "-e", 2, "--overwrite")
    assert record_of(half)["recipe"]["nb_epochs"] == 2
    message = refused("evaluate.py", "-m", "variant", "-O", 1, *variant, "-c", "y")
    assert "trained with -c n: so is its half" in message
