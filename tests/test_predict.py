"""Recognition of recordings, with a tiny network: real ones take minutes."""

import dataclasses
import json
import os
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import (
    MODEL,
    SINGLE,
    extract,
    new_trainer,
    patches_of,
    record_of,
    refuses,
    tiny_network,
    trained_on,
    write_tone,
)

import predict
import separation
import settings
from instrec.common import storage
from instrec.config import FeatureParameters, read
from instrec.learning import model_files, trained
from instrec.reporting import recordings
from instrec.scoring import metrics, optima, recognition


def outputs_of(files, patches):
    """What the networks of both trainings say, in the mean."""
    networks = [trained.load(files, i, "").network() for i in (0, 1)]
    return np.mean([network.predict(patches, verbose=0) for network in networks], axis=0)


def test_the_table_is_what_the_networks_say(model, song):
    found = recognition.Recogniser(model).predict(song)
    outputs = outputs_of(model, patches_of(song, read().features, read().step("test")))
    np.testing.assert_allclose(found.predictions, outputs, atol=1e-5)
    strengths = dict(zip(SINGLE.labels, metrics.s2(outputs), strict=True))
    assert dict(found.table["strength"]) == pytest.approx(strengths, abs=1e-5)
    assert found.table["strength"].is_monotonic_decreasing
    assert found.seconds == pytest.approx(12)
    table = predict.predict(song, "model_tiny", "adam")
    pd.testing.assert_frame_equal(table, found.table)
    # The record of the model counts, and not the settings.
    settings.num_mel_bands, settings.stft_window, settings.test_overlap = 40, 2048, 0.9
    settings.sample_rate = 8000
    pd.testing.assert_frame_equal(recognition.Recogniser(model).predict(song).table, table)


@pytest.mark.parametrize("script", ["predict.py", "plot_attribution.py"])
def test_a_run_that_has_not_learnt_is_named(model, song, paths, call, script):
    for iteration, accuracy in enumerate((0.9, 0.4)):
        validation = {"best_accuracy": accuracy, "chance": 1 / 3, "validation_patches": 100}
        record = record_of(model, iteration) | validation
        storage.save_json(model.run_record(iteration), record)
    shown = call(script, song, *MODEL, "-d", 21, *(["--out", paths] if "plot" in script else []))
    warnings = [line for line in shown.out.splitlines() if "warning" in line]
    assert warnings == ["warning: training 1 of this model has not learnt: do not trust it"]


def test_a_standardised_model_of_separated_audio_is_given_that(separated_model, paths, song):
    found = recognition.Recogniser(separated_model).predict(song)
    y, rate = soundfile.read(song, dtype="float32")
    trainer = new_trainer(23, tiny_network(inputs=2), config=read(standardise=True))
    ready = []
    parts = separation.harmonic_percussive(y.T, rate)
    for part, (mean, deviation) in zip(parts, trainer.means_and_stds, strict=True):
        soundfile.write(paths / "part.wav", part.T, rate, subtype="FLOAT")
        patches = patches_of(paths / "part.wav", read().features, read().step("test"))
        ready.append((patches - mean) / deviation)
    np.testing.assert_allclose(found.predictions, outputs_of(separated_model, ready), atol=1e-3)


@pytest.mark.parametrize(
    ("playing", "end", "expected"),
    [
        ([0, 0, 0, 0], 2.7, ()),
        ([1, 1, 0, 0], 2.7, ((0, 1.5),)),
        ([0, 1, 1, 1], 2.7, ((0.5, 2.7),)),  # the last patch counts until the end
        ([1, 1, 1, 1], 2.7, ((0, 2.7),)),
        ([1, 1, 1, 1], 2.697, ((0, 2.69),)),  # rounding leads not beyond the end
        ([1, 0, 1, 0], 2.7, ((0, 2),)),  # patches 0 and 2 touch
        ([1, 0, 0, 0, 1, 0], 9, ((0, 1), (2, 3))),
    ],
)
def test_segments(playing, end, expected):
    assert recognition.segments(np.array(playing, dtype=bool), 0.5, 1.0, end) == expected


def test_what_dies_away_does_not_count():
    """A second of music, then of noise 40 dB below it, then of music 20 dB below it."""
    parameters = FeatureParameters(22050, (1024,), 512, 128, 43)
    spectrogram = np.zeros((128, 3 * 43, 1))
    spectrogram[:, 43:86] -= 40 * np.log(10) / 20
    spectrogram[:, 86:] -= 20 * np.log(10) / 20
    assert recognition.audible(spectrogram, parameters, 43).tolist() == [True, False, True]


def test_a_label_for_none_is_a_flag_of_the_file_and_of_stretches(model, song, monkeypatch):
    """The second label is made to mean 'none': outputs are set by hand."""
    recogniser = recognition.Recogniser(model, "s1")
    monkeypatch.setattr(recognition, "NOTHING", SINGLE.labels[1])
    outputs = np.tile([0.85, 0.05, 0.1], (23, 1))
    outputs[17:] = [0.2, 0.7, 0.1]
    recogniser.networks = [SimpleNamespace(predict_on_batch=lambda _: outputs)]
    found = recogniser.predict(song)
    assert list(found.table.index) == [SINGLE.labels[0], SINGLE.labels[2]]
    assert not found.is_none and found.table["present"].tolist() == [True, False]
    strength = 23 * 0.1 / (17 * 0.85 + 6 * 0.2)
    assert found.table["strength"].tolist() == pytest.approx([1.0, strength])
    ((first, last),) = found.none_segments
    ((start, end),) = found.table["segments"].iloc[0]
    assert start == 0 and last == found.seconds and 0 < end - first < 1  # patches overlap
    tags = recordings.as_jams(recogniser, "a.wav", found)["annotations"][0]["data"]
    assert [tag["value"] for tag in tags] == [SINGLE.labels[0], "none"]
    outputs[:] = [0.55, 0.4, 0.05]
    found = recogniser.predict(song)
    assert found.is_none and found.none_segments == ((0, found.seconds),)
    assert not any(found.table["present"]) and not any(found.table["segments"])
    assert recordings.as_json(recogniser, {"a": found})["files"]["a"]["none"] is True


def test_thresholds_are_those_of_the_model(model, song, call):
    recogniser = recognition.Recogniser(model)
    assert not recogniser.has_thresholds and set(recogniser.thresholds) == {0.5}
    assert "has no thresholds of its own" in call("predict.py", song, *MODEL, "-d", 21).out
    call("evaluate.py", *MODEL, "-d", 21, "-O", 2, "-i", 2)
    call("plot_perf_metrics.py", *MODEL, "-d", 21)
    optima = json.loads(model.optima.read_text())
    classwise = optima["optima"]["s1"]["classwise"]
    recogniser = recognition.Recogniser(model, "s1")
    assert dict(zip(SINGLE.labels, recogniser.thresholds, strict=True)) == classwise
    table = recogniser.predict(song).table
    assert table["probability"].between(0, 1).all()
    assert table["probability"].is_monotonic_decreasing
    passes = table["strength"] >= table["threshold"]
    for intercept, shown in ((50.0, passes), (-50.0, passes & False)):  # all likely, or none
        recogniser.calibration = (1.0, intercept)
        found = recogniser.predict(song)
        assert found.table["present"].equals(shown.rename("present")) and not found.is_none
    assert "none of the 3 instruments clearly; the closest is" in recordings.sentence(found)
    assert recogniser.share_right() is None
    call("evaluate.py", *MODEL, "-d", 21, "-O", 3, "-i", 2)
    assert 0 < recogniser.share_right() <= 1
    optima["recipe"]["weights"][0] = "other"
    storage.save_json(model.optima, optima)
    refuses("of other networks: run evaluate.py -O 2", recognition.Recogniser, model)


def test_the_strongest_instrument_is_shown_more_easily(model, song, call):
    call("evaluate.py", *MODEL, "-d", 21, "-O", 2, "-i", 2)
    call("plot_perf_metrics.py", *MODEL, "-d", 21)
    recogniser = recognition.Recogniser(model)
    recogniser.thresholds = np.zeros(3)
    order = [*recogniser.predict(song).table.index]  # the strongest first
    places = [order.index(label) for label in SINGLE.labels]
    for first, second, shown in ((0.45, 0.45, 1), (0.39, 0.3, 0), (0.65, 0.61, 2), (0.9, 0.59, 1)):
        probabilities = np.array([first, second, 0.1])[places]
        with mock.patch.object(metrics, "calibrated", return_value=probabilities):
            assert recogniser.predict(song).table["present"].sum() == shown


def test_thresholds_of_test_data_halved_by_song_are_found(model, call):
    settings.halve_by = "song"
    call("evaluate.py", *MODEL, "-d", 21, "-O", 2, "-i", 2)
    (path,) = [x for x in call("plot_perf_metrics.py", *MODEL).out.split() if "optima.json" in x]
    assert "halved_by_song_model_tiny" in path
    recogniser = recognition.Recogniser(model)
    assert recogniser.has_thresholds and str(recogniser.evaluated.optima) == path
    with mock.patch.object(optima, "load", side_effect=optima.load) as load:
        call("plot_stability.py", *MODEL, "--clips", 2)
    assert {str(used.args[0]) for used in load.call_args_list} == {path}
    found = json.loads(recogniser.evaluated.optima.read_text())
    stale = found | {"recipe": found["recipe"] | {"weights": ["other"]}}
    storage.save_json(model.optima, stale)  # of networks that were trained before
    assert str(recognition.Recogniser(model).evaluated.optima) == path


def test_patches_overlap_as_in_the_test_data(model, monkeypatch):
    apart = dataclasses.replace(SINGLE, test_overlap=0.75)
    monkeypatch.setitem(settings.DATA_SETS, 21, apart)
    assert recognition.Recogniser(model).step == 21  # as trained
    extract(21)
    trained_on(21, overwrite=True, iter_num=2)
    assert recognition.Recogniser(model).step == 10


def test_everything_is_written_and_bad_files_are_left_out(model, song, paths, call):
    folder, out = paths / "recordings", paths / "out"
    write_tone(folder / "one" / "same.wav", 0)
    write_tone(folder / "two" / "same.wav", 1)
    (folder / "broken.wav").write_bytes(b"no audio")
    (folder / "notes.txt").write_text("not audio")
    shown = call(
        *("predict.py", song, folder, *MODEL, "-d", 21, "--csv", out / "all.csv"),
        *("--json", out / "all.json", "--jams", out / "jams", "--figures", out / "figures"),
        *("--summary", out / "summary.csv", "--sort", "cel", "--audacity", out / "tracks"),
        *("--regions", out / "regions", "--npz", out / "npz"),
    )
    assert "left out 1 of 4 files in all" in shown.err and "broken.wav: not readable" in shown.err
    assert "a song.wav (0:12.0)" in shown.out
    for pattern in ("jams/*.jams", "tracks/*.labels.txt", "regions/*.regions.csv", "figures/*.png"):
        assert len(list(out.glob(pattern))) == 3
    table = pd.read_csv(out / "all.csv")
    assert len(table) == 3 * 3 and set(table["instrument"]) == set(SINGLE.labels)
    everything = json.loads((out / "all.json").read_text())["files"]
    assert len(everything) == 3
    strength = everything[str(song)]["instruments"]["cel"]["strength"]
    row = table[(table["file"] == str(song)) & (table["instrument"] == "cel")]
    assert float(row["strength"].iloc[0]) == pytest.approx(strength, abs=1e-4)
    summary = pd.read_csv(out / "summary.csv")
    assert len(summary) == 3 and summary["cel"].is_monotonic_decreasing
    with np.load(out / "npz" / "a song.npz", allow_pickle=False) as arrays:
        assert arrays["labels"].tolist() == list(SINGLE.labels)
        patches = len(arrays["outputs"])
        assert len(arrays["times"]) == patches + 1 and len(arrays["embeddings"]) == patches
        # The last layer of each training makes its outputs of its share of the embeddings.
        networks = recognition.Recogniser(model).networks
        shares = np.split(arrays["embeddings"], len(networks), axis=1)
        last = [np.asarray(n.layers[-1](x)) for n, x in zip(networks, shares, strict=True)]
        assert arrays["outputs"] == pytest.approx(np.mean(last, axis=0), abs=1e-5)


def recognition_of(rows, seconds=60.0, *, is_none=False):
    """A recognition of label: (strength, segments)."""
    table = pd.DataFrame(
        [(*row, bool(row[1])) for row in rows.values()],
        index=pd.Index(rows, name="instrument"),
        columns=["strength", "segments", "present"],
    )
    nothing = np.empty(0)
    return recognition.Recognition(table, nothing, nothing, nothing, seconds, 22050, is_none)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (((0, 298),), "saxophone throughout"),
        (((72.2, 300),), "saxophone from 1:12"),
        (((0.5, 30),), "saxophone until 0:30"),
        (((75, 100), (130, 150)), "saxophone from 1:15 to 2:30 with breaks"),
        (((0, 10), (290, 300)), "saxophone with breaks"),
    ],
)
def test_a_sentence_says_what_plays(segments, expected):
    found = recognition_of({"sax": (1.0, segments), "pia": (0.2, ())}, 300.0)
    assert recordings.sentence(found) == expected


def test_a_sentence_names_the_strongest_first_and_says_none():
    rows = {"sax": (1.0, ((0, 60),)), "pia": (0.5, ((12, 60),)), "zither": (0.1, ())}
    assert recordings.sentence(recognition_of(rows)) == "saxophone throughout, piano from 0:12"
    assert recordings.sentence(recognition_of(rows, is_none=True)) == "none of the 3 instruments"


def test_a_summary_has_a_row_a_recording_in_the_order_asked_for():
    everything = {
        "b.wav": recognition_of({"sax": (1.0, ((0, 9),)), "pia": (0.4, ((0, 9),))}, 9.0),
        "a.wav": recognition_of({"pia": (1.0, ((0, 5),)), "sax": (0.9, ())}, 5.0),
        "c.wav": recognition_of({"pia": (1.0, ()), "sax": (0.1, ())}, 7.0, is_none=True),
    }
    table = recordings.summary(everything)
    assert table["file"].tolist() == ["a.wav", "b.wav", "c.wav"]
    assert table["instruments"].tolist() == ["pia", "sax;pia", "none"]
    assert recordings.summary(everything, "seconds")["file"].tolist() == ["a.wav", "c.wav", "b.wav"]
    assert recordings.summary(everything, "sax")["file"].tolist() == ["b.wav", "a.wav", "c.wav"]


def test_an_interrupted_run_of_many_goes_on(model, paths, call, monkeypatch):
    """A file is bad, the next two stop a run each; again is done only what was lost since."""
    folder, table, journal = paths / "many", paths / "out.csv", paths / "out.csv.journal"
    for name in ("0", "a", "c", "d"):
        write_tone(folder / f"{name}.wav", 0)
    (folder / "b.wav").write_bytes(b"no audio")
    goes_on, stops = mock.DEFAULT, KeyboardInterrupt
    course = [*[goes_on] * 3, stops, goes_on, goes_on, stops, *[goes_on] * 6]
    recognise = mock.Mock(wraps=recognition.recognise, side_effect=course)
    monkeypatch.setattr(recognition, "recognise", recognise)

    def heard():
        return "".join(found.args[0].stem for found in recognise.call_args_list)

    arguments = ("predict.py", folder, *MODEL, "-d", 21, "--csv", table, "--html", paths / "html")
    for _ in range(2):
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            call(*arguments)
        assert journal.exists() and not table.exists()
        with journal.open("ab") as file:
            file.write(b'\n[["cut off, within a letter: \xc3')
        if heard() == "0abc":
            (paths / "html" / "0.html").unlink()
    shown = call(*arguments)
    assert heard() == "0abc0cdd" and not journal.exists()
    assert "kept 4 of 5 recordings" in shown.out and "left out 1 of 5 files" in shown.err
    resumed = table.read_text()
    assert "d.wav" in (paths / "html" / "index.html").read_text()
    call(*arguments)
    assert table.read_text() == resumed and heard() == "0abc0cdd0abcd"


def test_names_that_are_hard_to_write(model, paths, call, recwarn):
    """No text, letters that no font has, as long as a disk takes, and that of another page."""
    for name in (os.fsdecode(b"caf\xe9"), "\u97f3", f"{'ä' * 100}{'b' * 40}", "index"):
        write_tone(paths / "odd" / "x.wav", 0)
        (paths / "odd" / "x.wav").rename(paths / "odd" / f"{name}.wav")
    out = paths / "out"
    names = ("html", "jams", "audacity", "regions", "npz", "figures")
    folders = [x for name in names for x in (f"--{name}", out / name)]
    tables = [x for name in ("csv", "summary", "json") for x in (f"--{name}", out / name / "t")]
    call("predict.py", paths / "odd", *MODEL, "-d", 21, *folders, *tables)
    assert b"caf\xe9.wav" in (out / "csv" / "t").read_bytes()
    assert b'href="caf%E9.html"' in (out / "html" / "index.html").read_bytes()
    # With an index of the pages; figures are of two kinds; nothing unfinished is left beside.
    assert [len(list((out / name).iterdir())) for name in names] == [5, 4, 4, 4, 4, 8]
    assert not [w for w in recwarn if "Glyph" in str(w.message)]


def test_the_audio_of_a_page_is_no_recording(tmp_path):
    names = ("a.wav", "a.opus", "a.html", "b.opus")
    for name in names:
        (tmp_path / name).touch()
    again = tmp_path / "x" / ".." / "a.wav"
    (tmp_path / "x").mkdir()
    found = predict.audio_files([tmp_path, again])
    assert sorted(path.name for path in found) == ["a.wav", "b.opus"]


def test_many_recordings_are_shared_among_processes(model, paths, call, monkeypatch):
    for index in range(3):
        write_tone(paths / "many" / f"{index}.wav", index)
    tables = []
    cut = paths / "many" / "2.wav"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    for many in (99, 2):
        monkeypatch.setattr(predict, "MANY", many)
        shown = call("predict.py", paths / "many", *MODEL, "-d", 21, "--csv", paths / "out.csv").out
        tables.append(pd.read_csv(paths / "out.csv"))
        assert "note: " in shown and "cut off" in shown
    pd.testing.assert_frame_equal(*tables, atol=1e-3)


def test_editors_read_times_and_names():
    found = recognition_of({"sax": (1.0, ((2, 9.5),)), "pia": (0.4, ((0, 3), (4, 5)))})
    assert recordings.as_audacity(found).splitlines() == [
        "0.000\t3.000\tpiano",
        "2.000\t9.500\tsaxophone",
        "4.000\t5.000\tpiano",
    ]
    first = recordings.as_regions(found).splitlines()[0]
    assert first == '0.000,0.4000,3.000,"piano"'


def test_jams_are_valid(model, song, paths):
    recogniser = recognition.Recogniser(model)
    found = recogniser.predict(song)
    document = recordings.as_jams(recogniser, str(song), found)
    (annotation,) = document["annotations"]
    rows = found.table.iterrows()
    expected = sorted((start, name) for name, row in rows for start, _ in row.segments)
    assert [(tag["time"], tag["value"]) for tag in annotation["data"]] == expected
    jams = pytest.importorskip("jams")
    (paths / "x.jams").write_text(json.dumps(document))
    assert jams.load(str(paths / "x.jams")).validate()


def test_what_cannot_be_recognised_is_one_line(model, song, refused, paths, monkeypatch):
    (paths / "empty").mkdir()
    monkeypatch.chdir(paths / "empty")
    (paths / "x.wav").write_bytes(b"")
    for given, message in (
        (("nowhere.wav", *MODEL), "found nothing: nowhere.wav"),
        ((".", *MODEL), "expected audio files in"),
        ((paths / "x.wav", *MODEL), "none of 1 files could be used"),
        ((song, "-m", "model_leaky", "-o", "adam"), "expected a trained model in"),
        ((song, *MODEL, "--csv", paths), "expected --csv to name a file"),
        ((song, *MODEL, "--html", song), "expected --html to name a folder"),
    ):
        assert message in refused("predict.py", *given, "-d", 21)


def hears_clicks(patches):
    """Stand in for a network that hears how loud the loudest cell of a patch is."""
    loud = patches.max(axis=(1, 2, 3)) > -10
    return np.repeat(loud[:, None], 3, axis=1).astype(float)


def test_times_are_true(model, paths):
    """Clicks at the beginning, in the middle and at the end are where they are drawn."""
    recogniser = recognition.Recogniser(model)
    recogniser.networks = [SimpleNamespace(predict_on_batch=hears_clicks)]
    rate, n = 22050, 3 * 22050
    for at in (0.2, 1.5, 2.3, 2.8):
        y = np.zeros(n, dtype=np.float32)
        y[int(at * rate)] = 1
        soundfile.write(paths / "click.wav", y, rate, subtype="FLOAT")
        found = recogniser.predict(paths / "click.wav")
        heard = np.flatnonzero(found.predictions[:, 0])
        start, end = found.edges[heard[0]], found.edges[heard[-1] + 1]
        assert start <= at <= end and abs((start + end) / 2 - at) < 0.6
        assert found.edges[0] == 0 and found.edges[-1] == pytest.approx(3)
        segments = found.table["segments"].iloc[0]
        assert segments and segments[0][0] <= at <= segments[-1][1] <= 3


def test_segments_are_scaled_as_the_strategy_is():
    outputs = np.zeros((12, 2))
    outputs[:, 0], outputs[::3, 1] = 0.5, 0.4
    # s2's windows have maxima of 0.5 and 0.4: the first label's average is 0.5 by both.
    loud = np.ones(12, dtype=bool)
    by_s1, by_s2 = (recognition.activity(outputs, s, loud) for s in ("s1", "s2"))
    np.testing.assert_allclose(by_s1, outputs / 0.5)
    np.testing.assert_allclose(by_s2, outputs / 0.5)
    outputs[:, 0] = np.tile([0.9, 0.1, 0.1], 4)  # mean 0.367, maxima 0.9
    np.testing.assert_allclose(recognition.activity(outputs, "s1", loud), outputs * 3 / 1.1)
    np.testing.assert_allclose(recognition.activity(outputs, "s2", loud), outputs / 0.9)
    # Ten loud patches and 50 soft ones, which neither count nor play.
    outputs, loud = np.repeat([[0.9], [0.15]], (10, 50), axis=0), np.arange(60) < 10
    np.testing.assert_allclose(recognition.activity(outputs, "s1", loud)[:, 0], loud)


def test_without_a_model_the_one_that_comes_along_is_taken(model, song, monkeypatch, capsys):
    """The tiny network stands in for it."""
    monkeypatch.setattr(model_files, "PRETRAINED", f"{model.folder.parent.name}/model_tiny.adam")
    monkeypatch.setattr(model_files, "PRETRAINED_ROOT", settings.MODELS_ROOT)
    expected = predict.predict(song, "model_tiny", "adam")
    pd.testing.assert_frame_equal(predict.predict(song), expected)
    settings.dataset, settings.optimizer = 21, "sgd"
    predict.main([str(song)])
    settings.optimizer = None
    assert "2 trainings, on training data of single_1024" in capsys.readouterr().out
    for option in (["-d", "21"], ["-o", "adam"]):
        refuses("which model", predict.main, [str(song), *option])
    for named in ({"config": read(dataset=21)}, {"optimizer": "sgd"}):
        refuses("which model", predict.predict, song, **named)
