import json
import shutil

import numpy as np
import pytest
from conftest import make_folders, make_irmas
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from test_train import TINY, tiny_network

import evaluate
import settings
import train
from instrec.config import read
from instrec.errors import InputError
from instrec.learning import model_files, outputs
from instrec.scoring import metrics, scores

SINGLE = settings.DataSet("single", "Single", ("cel", "cla", "flu"), ("single",), "folders")


@pytest.fixture
def trained(paths, monkeypatch, call):
    """A tiny network, trained twice on IRMAS-like data (id 20) or single-label data (id 21)."""
    monkeypatch.setitem(settings.DATA_SETS, 20, TINY)
    monkeypatch.setitem(settings.DATA_SETS, 21, SINGLE)
    settings.learning_rate = 0.01

    def train_on(dataset, overwrite=False, **options):
        settings.dataset = dataset
        if dataset == 20:
            make_irmas(paths, TINY.labels, train=6, test=12)
        else:
            make_folders(paths, SINGLE.labels, files=8, folder="single")
        if not read().feature_folder.exists():
            call("create_encoding.py", "-d", dataset)
            call("generate_dataset.py", "-d", dataset)
        trainer = train.Trainer(tiny_network(), "adam", None, **options)
        trainer.load_data()
        trainer.train(epochs=10, batch=8, iter_num=2, overwrite=overwrite)
        return model_files.model_files(read(), "model_tiny", "adam")

    return train_on


def evaluator(op_mode, **options):
    return evaluate.Evaluator("model_tiny", "adam", 3, 2, op_mode, **options)


def store_optima(files, threshold=0.5, classwise=0.7):
    sweep = json.loads(files.sweep.read_text())
    thresholds = {
        "global": dict.fromkeys(metrics.AVERAGES, threshold),
        "classwise": dict.fromkeys(TINY.labels, classwise),
    }
    optima = {"recipe": sweep["recipe"], "optima": dict.fromkeys(("s1", "s2"), thresholds)}
    files.optima.write_text(json.dumps(optima))


def test_the_sweep_agrees_with_scikit_learn(trained):
    files = trained(20)
    mode_2 = evaluator(2)
    mode_2.run()
    record, table = scores.load(files.sweep, "")
    assert sorted(set(table["threshold"])) == metrics.THRESHOLDS.tolist()
    assert record["clips"] == 6
    table = table.set_index(["training", "strategy", "kind", "name", "threshold"]).sort_index()
    table = table[list(scores.MEASURES)]

    predictions = mode_2.load_model("model_tiny", "adam")
    for iteration in range(2):
        clips = np.split(predictions[iteration], mode_2.clip_starts)
        of_clips = np.stack([metrics.s1(clip) for clip in clips])
        for threshold in metrics.THRESHOLDS:
            for average, name_of_sklearn in (("micro", "micro"), ("macro_sklearn", "macro")):
                expected = precision_recall_fscore_support(
                    mode_2.y_true, of_clips >= threshold, average=name_of_sklearn, zero_division=0
                )
                found = table.loc[iteration, "s1", "global", average, threshold]
                np.testing.assert_allclose(found, expected[:3], atol=1e-12)
            expected = precision_recall_fscore_support(
                mode_2.y_true, of_clips >= threshold, average=None, zero_division=0
            )
            for k, label in enumerate(TINY.labels):
                found = table.loc[iteration, "s1", "classwise", label, threshold]
                np.testing.assert_allclose(found, [v[k] for v in expected[:3]], atol=1e-12)


def test_halves_share_no_clip_and_cover_all(trained):
    trained(20)
    clips = {}
    for op_mode in (2, 3):
        half = evaluator(op_mode)
        half.load_test_data()
        clips[op_mode] = set(half.clips.tolist())
    assert clips[2] | clips[3] == set(range(12))
    assert not clips[2] & clips[3]


def test_final_scores_use_the_stored_thresholds_on_the_pure_half(trained):
    files = trained(20)
    evaluator(2).run()
    store_optima(files)
    mode_3 = evaluator(3)
    mode_3.run()
    _, table = scores.load(files.scores, "")
    table = table.set_index(["training", "strategy", "kind", "name"])[list(scores.MEASURES)]
    predictions = mode_3.load_model("model_tiny", "adam")
    for iteration in range(2):
        clips = np.split(predictions[iteration], mode_3.clip_starts)
        of_clips = np.stack([metrics.s2(clip) for clip in clips])
        for kind, threshold in (("global", 0.5), ("global_classwise", 0.7)):
            expected = precision_recall_fscore_support(
                mode_3.y_true, of_clips >= threshold, average="micro", zero_division=0
            )
            found = table.loc[iteration, "s2", kind, "micro"]
            np.testing.assert_allclose(found, expected[:3], atol=1e-12)
        expected = precision_recall_fscore_support(
            mode_3.y_true, of_clips >= 0.7, average=None, zero_division=0
        )
        for k, label in enumerate(TINY.labels):
            found = table.loc[iteration, "s2", "classwise", label]
            np.testing.assert_allclose(found, [values[k] for values in expected[:3]], atol=1e-12)


def test_final_scores_without_optima_say_what_to_run(trained):
    trained(20)
    with pytest.raises(InputError, match=r"-O 2 .*then python3 plot_perf_metrics\.py"):
        evaluator(3).run()


def test_optima_of_other_models_are_refused(trained, tmp_path):
    files = trained(20)
    evaluator(2).run()
    store_optima(files)
    settings.seed = 5
    trained(20, overwrite=True)
    with pytest.raises(InputError, match="other models or data"):
        evaluator(3).run()


def test_optima_of_another_split_are_refused(trained):
    files = trained(20)
    evaluator(2).run()
    store_optima(files)
    settings.seed = 1  # other clips are pure now: some of them have chosen the thresholds
    with pytest.raises(InputError, match="other models or data"):
        evaluator(3).run()


def test_a_model_of_other_training_data_is_refused(trained, call):
    trained(21)
    settings.seed = 1  # files that were trained on are test files now
    call("create_encoding.py", "-d", 21)
    with pytest.raises(
        InputError, match=r"test\.csv has changed since|train\.csv has changed since"
    ):
        evaluator(2).run()
    call("generate_dataset.py", "-d", 21)
    with pytest.raises(InputError, match="trained with other settings or data"):
        evaluator(2).run()


def test_a_held_out_half_of_another_seed_is_refused(trained):
    trained(20, split=0.5, held_out=True)
    settings.seed = 1
    with pytest.raises(InputError, match="split_seed: 0, not 1"):
        evaluator(1).run()


def test_results_of_another_split_lie_apart(trained):
    files = trained(20)
    evaluator(2).run()
    before = files.sweep.read_bytes()
    trained(20, split=0.7)
    evaluator(2, split=0.7).run()
    assert files.sweep.read_bytes() == before
    assert (files.folder / "split_0.7" / files.sweep.name).exists()


def test_the_remedy_for_missing_iterations_trains_with_the_same_options(trained):
    trained(20)
    with pytest.raises(InputError, match=r"-i 3 -e 10 -b 8 -c n, or choose fewer"):
        evaluate.Evaluator("model_tiny", "adam", 3, 3, 2).run()


@pytest.mark.parametrize("option", [("-e", 3), ("-b", 3), ("-c", "y"), ("--overwrite",)])
def test_options_of_training_are_for_mode_1(call, option):
    with pytest.raises(SystemExit, match="for mode 1"):
        call("evaluate.py", "-m", "model_leaky", "-o", "adam", "-d", 1, "-O", 2, *option)


def test_confusion_matrices_of_multi_label_data_are_of_held_out_training_data(trained):
    files = trained(20, split=0.5, held_out=True)
    mode_1 = evaluator(1)
    mode_1.run()
    found = json.loads(files.confusion.read_text())
    assert mode_1.tensors.part == "train"
    assert len(mode_1.rows) == 27 and mode_1.split == 0.5
    matrices = np.array(found["matrices"]["s1"])  # [iterations x true x predicted]
    assert matrices.shape == (2, 3, 3)
    np.testing.assert_allclose(matrices.sum(axis=2), 1)
    assert found["half"] == "held-out 50% of the incomplete training data"


def test_confusion_matrices_of_single_label_data_are_of_the_pure_half(trained):
    files = trained(21)
    mode_1 = evaluator(1)
    mode_1.run()
    assert mode_1.tensors.part == "test"
    found = json.loads(files.confusion.read_text())
    assert found["half"] == "pure half of the test data" and found["clips"] == 6
    predictions = mode_1.load_model("model_tiny", "adam")[1]
    clips = np.split(predictions, mode_1.clip_starts)
    predicted = np.array([metrics.s1(clip).argmax() for clip in clips])
    expected = confusion_matrix(
        mode_1.y_true.argmax(axis=1), predicted, labels=[0, 1, 2], normalize="true"
    )
    np.testing.assert_allclose(found["matrices"]["s1"][1], expected)
    # As published, each patch decides for itself.
    true = mode_1.tensors.class_id[mode_1.rows]
    expected = confusion_matrix(
        true, predictions.argmax(axis=1), labels=[0, 1, 2], normalize="true"
    )
    np.testing.assert_allclose(found["matrices"]["patch"][1], expected)
    assert found["patches"] == len(true) > found["clips"]


def test_predictions_are_computed_once(trained, monkeypatch):
    files = trained(20)
    evaluator(2).run()
    monkeypatch.setattr(outputs, "predict", lambda *_: pytest.fail("predicted again"))
    evaluator(2).run()
    store_optima(files)
    evaluator(3).run()
    for content in (b"damaged", files.predictions(0).read_bytes()[:500]):
        files.predictions(0).write_bytes(content)
        with pytest.raises(pytest.fail.Exception):
            evaluator(2).run()


@pytest.mark.parametrize(
    "content", ["{}", '{"recipe": null, "optima": {}}', '{"recipe": {}, "optima": []}', "["]
)
def test_damaged_optima_are_refused(trained, content):
    files = trained(20)
    files.optima.write_text(content)
    with pytest.raises(InputError, match=r"optima\.json is .*-O 2"):
        evaluator(3).run()


@pytest.mark.parametrize("content", ["{}", '{"recipe": [], "weights": ""}', "\x00"])
def test_damaged_run_records_are_refused(trained, content):
    files = trained(20)
    files.run_record(1).write_text(content)
    with pytest.raises(InputError, match=r"adam1\.run\.json is damaged.*--overwrite"):
        evaluator(2).run()


@pytest.mark.parametrize("split", [0, 1, -1, 1.5])
def test_a_split_out_of_range_is_refused(split):
    with pytest.raises(InputError, match="between 0 and 1"):
        evaluate.Evaluator("model_leaky", "adam", 11, 1, 2, split=split)


def test_a_model_of_other_features_is_refused(trained, monkeypatch, call):
    files = trained(20)
    settings.hop_length = 256
    with pytest.raises(InputError, match=r"hop_length: 512, not 256.*generate_dataset"):
        evaluator(2).run()
    call("generate_dataset.py", "-d", 20)
    with pytest.raises(
        InputError,
        match=r"adam0\.best\.hdf5 was trained with other settings.*hop_length: 512, not 256",
    ):
        evaluator(2).run()
    assert files.best(0).exists()


def test_missing_iterations_are_counted(trained):
    files = trained(20)
    files.run_record(1).unlink()
    with pytest.raises(
        InputError, match="expected 2 trained iterations .* found 1: run python3 tr"
    ):
        evaluator(2).run()


def test_foreign_weights_are_refused(trained):
    files = trained(20)
    shutil.copy(files.best(1), files.best(0))
    with pytest.raises(InputError, match=r"adam0\.best\.hdf5 .* not what training wrote"):
        evaluator(2).run()


def test_labels_absent_from_a_half_are_named_and_count_as_zero(trained, paths, capsys, call):
    files = trained(20)
    for path in (paths / "data").rglob("*.txt"):
        path.write_text("cel\n")
    call("create_encoding.py", "-d", 20)
    call("generate_dataset.py", "-d", 20)
    evaluator(2).run()
    assert "note: no clip has cla, flu" in capsys.readouterr().out
    content = files.sweep.read_text()
    assert "NaN" not in content
    assert json.loads(content)["absent"] == ["cla", "flu"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model_leaky", "adam", 11, 1, 4), "operation mode 1, 2 or 3, found 4"),
        (("model_leaky", "adam", 4, 1, 2), "num_classes to be 11 for IRMAS, found 4"),
        (("model_leaky", "adam", 11, 0, 2), "iter_num to be 1 or more, found 0"),
        (("model_two_branch", "adam", 11, 1, 2), "model_two_branch does not fit IRMAS"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate.Evaluator(*arguments)


def test_clips_of_any_length_are_aggregated():
    evaluator_ = evaluate.Evaluator("model_leaky", "adam", 11, 1, 2)
    predictions = [np.random.default_rng(n).random((n, 11)) for n in (1, 5, 6, 240)]
    for strategy in ("s1", "s2"):
        found = evaluator_.aggregate_predictions(strategy, predictions)
        assert found.shape == (4, 11)
        np.testing.assert_allclose(found.max(axis=1), 1)
    with pytest.raises(InputError, match="'s1' or 's2', found 's3'"):
        evaluator_.aggregate_predictions("s3", predictions)


def test_halves_by_patch_score_a_clip_in_both_halves(trained):
    trained(20)
    settings.halve_by = "patch"
    clips, rows = {}, {}
    for op_mode in (2, 3):
        half = evaluator(op_mode)
        half.load_test_data()
        clips[op_mode], rows[op_mode] = half.clips.tolist(), half.rows.tolist()
        assert half.rows.tolist() == sorted(half.rows)  # in time order
    assert clips[2] == clips[3] == list(range(12))
    assert sorted(rows[2] + rows[3]) == list(range(12 * 9))
    assert abs(len(rows[2]) - len(rows[3])) <= 1
