"""Every data set through all scripts, and what only the whole pipeline shows."""

import re
import shutil

import numpy as np
import pytest
from conftest import extract, find_scores, make_folders, make_irmas

import settings
from generate_dataset import GenerateDataset
from instrec.config import read
from instrec.data import tensors
from instrec.learning import model_files
from instrec.scoring import scores

FITTING = {0: "model_multi_res", 8: "model_two_branch", 9: "model_two_branch"}


def make_audio(root, dataset, call):
    """Write the audio of a data set, and separate it if that is what it takes."""
    data_set = settings.DATA_SETS[dataset]
    source = data_set.source or data_set.folders[0]
    if data_set.layout == "irmas":
        make_irmas(root, train=4, test=22, folder=source)
    else:
        make_folders(root, data_set.labels, folder=source)
    if data_set.source:
        call("separate_sources.py", "-d", dataset)


OWN = settings.DataSet("own", "My own", ("bass guitar", "kazoo"), ("own",), "folders")


# One of each kind: three channels; one label a test clip; separated; two inputs; and one's own,
# which takes one entry. The plain one with many labels runs in test_docs.py.
@pytest.mark.parametrize("dataset", [0, 2, 6, 9, 100])
def test_data_sets_of_every_kind_run_through_all_scripts(paths, call, monkeypatch, dataset):
    monkeypatch.setitem(settings.DATA_SETS, 100, OWN)
    settings.num_mel_bands = 32  # a quarter of the work
    data_set = settings.DATA_SETS[dataset]
    make_audio(paths, dataset, call)
    model = FITTING.get(dataset, "model_leaky")
    named = ("-m", model, "-o", "adam", "-d", dataset)
    short = ("-e", 1, "-b", 32, "-i", 1)
    extract(dataset)
    call("train.py", *named, *short, "-c", "y")
    if dataset == 2:
        call("evaluate.py", *named, "-i", 1, "-O", 1)
        call("plot_conf_mat.py", *named)
    find_scores(1, *named)

    files = model_files.model_files(read(), model, "adam")
    record, table = scores.load(files.scores, "")
    assert record["recipe"]["labels"] == list(data_set.labels)
    for strategy in ("s1", "s2"):
        found = table[table["strategy"] == strategy].groupby("kind")["name"].agg(list)
        assert found["classwise"] == list(data_set.labels)
        assert found["global"] == found["global_classwise"] == ["micro", "macro", "macro_sklearn"]
    assert table[list(scores.MEASURES)].stack().between(0, 1).all()


@pytest.mark.parametrize(("source", "separated"), [(1, 8), (2, 5), (-1, -2), (7, 6)])
def test_separated_sets_keep_the_split_of_their_source(paths, call, source, separated):
    make_audio(paths, separated, call)
    # A file that could not be separated must not shift the split of the others.
    folder = paths / "data" / settings.DATA_SETS[separated].folders[0]
    label = settings.DATA_SETS[separated].labels[-1]
    missing = sorted(folder.rglob(f"{label}/*.wav"))[0]
    missing.unlink()
    trains, tests, validating = [], [], []
    for settings.dataset in (source, separated):
        extract(settings.dataset)
        train, test = (tensors.load(read(), part) for part in ("train", "test"))
        place = np.concatenate([np.arange(n) for n in np.bincount(train.file_id) if n])
        mask = train.validation_mask(read(), 0.85)
        validating.append(set(zip(train.file_id[mask], place[mask], strict=True)))
        trains.append(train)
        tests.append(test)
    for whole, part in (trains, tests):
        assert whole.files == part.files
    # The same clips validate, but for a patch where the missing clip moves the boundary.
    left = {pair for pair in validating[0] if pair[0] in trains[1].file_id}
    assert len(left ^ validating[1]) <= 1
    np.testing.assert_array_equal(*(test.pure_mask(read()) for test in tests))
    left_out = [*trains[1].record["left_out"], *tests[1].record["left_out"]]
    assert left_out == [missing.relative_to(folder).as_posix()]


def test_labels_of_irmas_and_of_its_wind_instruments(paths, call):
    make_irmas(paths, train=2, test=22)
    assert re.search(r"^cello +2 +3\b", call("create_encoding.py", "-d", 1).out, re.MULTILINE)
    generator = GenerateDataset(43, 11, 0.85)
    names, labels = generator.load_metadata(read().feature_folder / "train.csv")
    assert names[0] == "IRMAS-TrainingData/cel/[cel][cla]0000__1.wav" and labels[0] == "cel"
    names, labels = generator.load_metadata(read().feature_folder / "test.csv")
    assert len(names) == 22 and sorted(map(len, labels)) == [1] * 11 + [2] * 11
    assert {name.split("/")[1] for name in names} == {"Part1", "IRTestingData-Part2", "Part3"}

    call("create_encoding.py", "-d", 7)
    generator = GenerateDataset(43, 4, 0.85)
    folder = read().feature_folder
    names, labels = generator.load_metadata(folder / "train.csv")
    assert sorted(set(labels)) == list(settings.IRMAS_WIND) and len(names) == 8
    _, labels = generator.load_metadata(folder / "test.csv")
    # cla, flu, sax and tru alone; cel+cla, cla+flu, flu+gac, pia+sax, sax+tru, tru+vio
    assert sorted(labels) == sorted(
        [["cla"], ["flu"], ["sax"], ["tru"], ["cla"], ["cla", "flu"], ["flu"], ["sax"]]
        + [["sax", "tru"], ["tru"]]
    )


def make_tensors(root):
    make_irmas(root, train=4, test=22)
    extract(1)


@pytest.fixture
def generated(paths, made_once):
    made_once(paths, make_tensors)
    settings.dataset = 1
    return tensors.load(read(), "train"), tensors.load(read(), "test")


def test_tensors_are_memory_maps_of_plain_npy(generated):
    train, test = generated
    path = read().feature_folder / "train" / "X_irmas.npy"
    plain = np.load(path, mmap_mode="r", allow_pickle=False)
    assert isinstance(plain, np.memmap) and plain.dtype == np.float32
    assert plain.shape == (11 * 4 * 3, 128, 43, 1)
    assert len(train.file_id) == len(plain) and len(train.files) == 44
    assert len(test.file_id) == 22 * 9  # 5 s: 216 frames, a patch every 21
    np.testing.assert_array_equal(train.class_id, np.repeat(np.arange(11), 12))


def test_documented_methods_return_what_they_say(generated):
    train, test = generated
    generator = GenerateDataset(43, 11, 0.85)
    patches, file_id = list(train.inputs[0]), train.file_id.tolist()
    X_train, y_train, fid_train, X_val, y_val, fid_val = generator.validation_split(
        patches, train.class_id.tolist(), file_id, 11, 0.85
    )
    assert X_train.shape == (11 * 10, 128, 43, 1) and X_val.shape == (11 * 2, 128, 43, 1)
    assert np.bincount(y_train).tolist() == [10] * 11 and np.bincount(y_val).tolist() == [2] * 11
    for X, y, fid in ((X_train, y_train, fid_train), (X_val, y_val, fid_val)):
        for patch, label, file in zip(X[:5], y, fid, strict=False):
            candidates = train.inputs[0][train.file_id == file]
            assert any(np.array_equal(patch, candidate) for candidate in candidates)
            assert train.labels[file, label]
    assert sorted(fid_train + fid_val) == file_id

    pure, fid_pure, dev, fid_dev = generator.pure_development_split(
        list(test.inputs[0]), test.file_id.tolist()
    )
    assert len(pure) == len(fid_pure) and len(dev) == len(fid_dev)
    assert sorted(fid_pure + fid_dev) == test.file_id.tolist()
    assert not set(fid_pure) & set(fid_dev)
    assert len(set(fid_pure)) == len(set(fid_dev)) == 11
    assert fid_pure == test.file_id[test.pure_mask(read())].tolist()


def test_two_inputs_split_in_step(generated):
    train, _ = generated
    settings.dataset = 8
    harm = np.asarray(train.inputs[0])
    generator = GenerateDataset(43, 11, 0.85)
    X_train, _, _, X_val, _, _ = generator.validation_split(
        [list(harm), list(-harm)], train.class_id, train.file_id, 11, 0.85
    )
    for first, second in (X_train, X_val):
        np.testing.assert_array_equal(first, -np.asarray(second))


def test_nothing_is_computed_twice(generated, call, capsys, monkeypatch):
    monkeypatch.setattr("generate_dataset.extract", lambda *_: pytest.fail("extracted again"))
    assert call("generate_dataset.py", "-d", 1).out.count("is up to date") == 2
    GenerateDataset(43, 11, 0.85).run_multi("train")  # the documented name for two inputs
    assert capsys.readouterr().out.count("is up to date") == 1
    settings.val_split = 0.5  # another split takes no extraction
    call("generate_dataset.py", "-d", 1)
    assert tensors.load(read(), "train").validation_mask(read(), 0.5).mean() == 0.5


def test_changed_audio_is_noticed(generated, call, paths):
    old = generated[0].fingerprint
    name = generated[0].files[0]
    shutil.copy(paths / "data" / "irmas" / generated[0].files[-1], paths / "data" / "irmas" / name)
    call("generate_dataset.py", "-d", 1)
    assert tensors.load(read(), "train").fingerprint != old


def test_tensors_do_not_depend_on_the_number_of_processes(generated, run_script, paths):
    paths.joinpath("features", "irmas_1024", "train").rename(paths / "train of one process")
    run_script("generate_dataset.py", "-d", 1)
    assert tensors.load(read(), "train").fingerprint == generated[0].fingerprint
