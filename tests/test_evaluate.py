import json
import shutil

import numpy as np
import pytest
from conftest import TINY, refuses, train_twice
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import evaluate
import settings
from instrec.errors import InputError
from instrec.learning import trained
from instrec.scoring import metrics, scores


def evaluator(op_mode, **options):
    return evaluate.Evaluator("model_tiny", "adam", 3, 2, op_mode, **options)


def sweep_and_store_optima(files, threshold=0.5, classwise=0.7):
    evaluator(2).run()
    sweep = json.loads(files.sweep.read_text())
    thresholds = {
        "global": dict.fromkeys(metrics.AVERAGES, threshold),
        "classwise": dict.fromkeys(TINY.labels, classwise),
    }
    optima = {"recipe": sweep["recipe"], "optima": dict.fromkeys(("s1", "s2"), thresholds)}
    files.optima.write_text(json.dumps(optima))


def table_of(path, *columns):
    """The measures of a file of scores, by training, strategy, kind, name and other columns."""
    _, table = scores.load(path, "")
    keys = ["training", "strategy", "kind", "name", *columns]
    return table.set_index(keys).sort_index()[list(scores.MEASURES)]


def by_sklearn(y_true, decisions, average):
    found = precision_recall_fscore_support(y_true, decisions, average=average, zero_division=0)
    return np.array(found[:3])


def test_the_sweep_agrees_with_scikit_learn(tiny_model):
    mode_2 = evaluator(2)
    mode_2.run()
    table = table_of(tiny_model.sweep, "threshold")
    assert sorted(set(table.index.get_level_values(-1))) == metrics.THRESHOLDS.tolist()
    assert json.loads(tiny_model.sweep.read_text())["clips"] == 6
    for iteration, predictions in enumerate(mode_2.load_model("model_tiny", "adam")):
        clips = np.stack([metrics.s1(clip) for clip in np.split(predictions, mode_2.clip_starts)])
        found = table.loc[iteration, "s1"]
        for threshold in metrics.THRESHOLDS:
            decided = mode_2.y_true, clips >= threshold
            for average, name_of_sklearn in (("micro", "micro"), ("macro_sklearn", "macro")):
                expected = by_sklearn(*decided, name_of_sklearn)
                np.testing.assert_allclose(found.loc["global", average, threshold], expected)
            for label, expected in zip(TINY.labels, by_sklearn(*decided, None).T, strict=True):
                np.testing.assert_allclose(found.loc["classwise", label, threshold], expected)


def test_halves_share_no_clip_and_cover_all_but_by_patch(tiny_model):
    halves = {}
    for by in ("clip", "patch"):
        settings.halve_by = by
        halves[by] = evaluator(2), evaluator(3)
        for half in halves[by]:
            half.load_test_data()
            assert half.rows.tolist() == sorted(half.rows)  # in time order
    first, second = (half.clips.tolist() for half in halves["clip"])
    assert sorted(first + second) == list(range(12))
    first, second = halves["patch"]
    assert first.clips.tolist() == second.clips.tolist() == list(range(12))
    assert sorted([*first.rows, *second.rows]) == list(range(12 * 9))
    assert abs(len(first.rows) - len(second.rows)) <= 1


def test_final_scores_use_the_stored_thresholds_on_the_pure_half(tiny_model):
    sweep_and_store_optima(tiny_model)
    mode_3 = evaluator(3)
    mode_3.run()
    table = table_of(tiny_model.scores)
    for iteration, predictions in enumerate(mode_3.load_model("model_tiny", "adam")):
        clips = np.stack([metrics.s2(clip) for clip in np.split(predictions, mode_3.clip_starts)])
        found = table.loc[iteration, "s2"]
        for kind, threshold in (("global", 0.5), ("global_classwise", 0.7)):
            expected = by_sklearn(mode_3.y_true, clips >= threshold, "micro")
            np.testing.assert_allclose(found.loc[kind, "micro"], expected)
        each = by_sklearn(mode_3.y_true, clips >= 0.7, None).T
        for label, expected in zip(TINY.labels, each, strict=True):
            np.testing.assert_allclose(found.loc["classwise", label], expected)


def test_final_scores_without_optima_say_what_to_run(tiny_model):
    refuses(r"-O 2 .*then python3 plot_perf_metrics\.py", evaluator(3).run)


@pytest.mark.parametrize("trained_anew", [True, False])
def test_optima_of_other_models_or_another_split_are_refused(tiny_model, trained_anew):
    sweep_and_store_optima(tiny_model)
    settings.seed = 5  # other clips are pure now: some of them have chosen the thresholds
    if trained_anew:
        train_twice(20, overwrite=True)
    refuses("other models or data", evaluator(3).run)


def test_a_model_of_other_training_data_is_refused(model, call):
    settings.seed = 1  # files that were trained on are test files now
    call("create_encoding.py", "-d", 21)
    refuses(r"(test|train)\.csv has changed since", evaluator(2).run)
    call("generate_dataset.py", "-d", 21)
    refuses("trained with other settings or data", evaluator(2).run)


def test_a_held_out_half_of_another_seed_is_refused(tiny_model):
    train_twice(20, split=0.5, held_out=True)
    settings.seed = 1
    refuses("split_seed: 0, not 1", evaluator(1).run)


@pytest.mark.parametrize(("op_mode", "name"), [(1, "confusion"), (2, "sweep")])
def test_results_of_another_split_lie_apart(tiny_model, op_mode, name):
    train_twice(20, split=0.7, held_out=op_mode == 1)
    evaluator(op_mode, split=0.7).run()
    path = getattr(tiny_model, name)
    assert not path.exists() and (path.parent / "split_0.7" / path.name).exists()


def test_another_held_out_share_is_never_the_default_one(tiny_model):
    assert evaluator(1).files.confusion == tiny_model.confusion
    path = evaluator(1, split=settings.val_split).files.confusion
    assert path == tiny_model.folder / f"split_{settings.val_split}" / path.name
    assert evaluator(2, split=settings.val_split).files.sweep == tiny_model.sweep


def test_missing_iterations_are_counted_and_how_to_train_them_is_said(tiny_model):
    with pytest.raises(InputError, match=r"that trained these, with -i 3, or choose fewer"):
        evaluate.Evaluator("model_tiny", "adam", 3, 3, 2).run()
    tiny_model.run_record(1).unlink()
    refuses("expected 2 trained iterations .* found 1", evaluator(2).run)


@pytest.mark.parametrize("option", [("-e", 3), ("-b", 3), ("-c", "y"), ("--overwrite",)])
def test_options_of_training_are_for_mode_1(call, option):
    with pytest.raises(SystemExit, match="for mode 1"):
        call("evaluate.py", "-m", "model_leaky", "-o", "adam", "-d", 1, "-O", 2, *option)


def test_an_empty_half_is_refused(tiny_model, monkeypatch):
    from instrec.data import tensors

    monkeypatch.setattr(tensors.Tensors, "pure_mask", lambda self, _: self.file_id >= 0)
    refuses("no clip in its development half.*create_encoding", evaluator(2).run)


def test_confusion_matrices_of_multi_label_data_are_of_held_out_training_data(tiny_model):
    train_twice(20, split=0.5, held_out=True)
    mode_1 = evaluator(1)
    mode_1.run()
    found = json.loads(tiny_model.confusion.read_text())
    assert mode_1.tensors.part == "train"
    assert len(mode_1.rows) == 27 and mode_1.split == 0.5
    matrices = np.array(found["matrices"]["s1"])  # [iterations x true x predicted]
    assert matrices.shape == (2, 3, 3)
    np.testing.assert_allclose(matrices.sum(axis=2), 1)
    assert found["half"] == "held-out 50% of the incomplete training data"


def test_confusion_matrices_of_single_label_data_are_of_the_pure_half(model):
    mode_1 = evaluator(1)
    mode_1.run()
    assert mode_1.tensors.part == "test"
    found = json.loads(model.confusion.read_text())
    assert found["half"] == "pure half of the test data" and found["clips"] == 5
    predictions = mode_1.load_model("model_tiny", "adam")[1]
    clips = np.split(predictions, mode_1.clip_starts)
    # As published, each patch decides for itself; and each clip.
    patches = mode_1.tensors.class_id[mode_1.rows], predictions.argmax(axis=1)
    of_clips = mode_1.y_true.argmax(axis=1), [metrics.s1(clip).argmax() for clip in clips]
    for name, decided in (("patch", patches), ("s1", of_clips)):
        expected = confusion_matrix(*decided, labels=[0, 1, 2], normalize="true")
        np.testing.assert_allclose(found["matrices"][name][1], expected)
    assert found["patches"] == len(patches[0]) > found["clips"]


def test_the_documented_name_for_two_inputs_loads_the_same(tiny_model):
    one, two = evaluator(2), evaluator(2)
    one.load_test_data()
    two.load_multi_test_data()
    np.testing.assert_array_equal(one.rows, two.rows)


def test_predictions_are_computed_once(tiny_model, monkeypatch):
    evaluator(2).run()
    monkeypatch.setattr(trained.Training, "predict", lambda *_: pytest.fail("predicted again"))
    sweep_and_store_optima(tiny_model)
    evaluator(3).run()
    for content in (b"damaged", tiny_model.predictions(0).read_bytes()[:500]):
        tiny_model.predictions(0).write_bytes(content)
        with pytest.raises(pytest.fail.Exception):
            evaluator(2).run()


def test_damaged_optima_and_records_are_refused(tiny_model):
    for content in ("{}", '{"recipe": null, "optima": {}}', '{"recipe": {}, "optima": []}', "["):
        tiny_model.optima.write_text(content)
        refuses(r"optima\.json is .*-O 2", evaluator(3).run)
    for content in ("{}", '{"recipe": [], "weights": ""}', "\x00"):
        tiny_model.run_record(1).write_text(content)
        refuses(r"adam1\.run\.json is damaged.*--overwrite", evaluator(2).run)


def test_a_model_of_other_features_is_refused(tiny_model, monkeypatch, call):
    settings.hop_length = 256
    refuses(r"hop_length: 512, not 256.*generate_dataset", evaluator(2).run)
    call("generate_dataset.py", "-d", 20)
    refuses("trained with other settings.*hop_length: 512, not 256", evaluator(2).run)
    assert tiny_model.best(0).exists()


def test_foreign_weights_are_refused(tiny_model):
    shutil.copy(tiny_model.best(1), tiny_model.best(0))
    refuses(r"adam0\.best\.hdf5 .* not what training wrote", evaluator(2).run)


def test_labels_absent_from_a_half_are_named_and_count_as_zero(tiny_model, paths, capsys, call):
    for path in (paths / "data").rglob("*.txt"):
        path.write_text("cel\n")
    call("create_encoding.py", "-d", 20)
    call("generate_dataset.py", "-d", 20)
    evaluator(2).run()
    assert "note: no clip has cla, flu" in capsys.readouterr().out
    content = tiny_model.sweep.read_text()
    assert "NaN" not in content
    assert json.loads(content)["absent"] == ["cla", "flu"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model_leaky", "adam", 11, 1, 4), "operation mode 1, 2 or 3, found 4"),
        (("model_leaky", "adam", 4, 1, 2), "num_classes to be 11 for IRMAS, found 4"),
        (("model_leaky", "adam", 11, 0, 2), "iter_num to be 1 or more, found 0"),
        (("model_two_branch", "adam", 11, 1, 2), "model_two_branch does not fit IRMAS"),
        (("model_lekay", "adam", 11, 1, 2), "model_leaky.*or a trained one.*'model_lekay'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    refuses(message, evaluate.Evaluator, *arguments)
