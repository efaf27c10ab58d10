import itertools
import json
import re
import shutil
import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from conftest import changed, contents, refuses

import render_dataset
import settings
from instrec.common import command
from instrec.data import metadata
from instrec.data.splits import recording_of, song_of
from instrec.learning.model_files import PRETRAINED_ROOT
from rendering import banks, music, nothing, samples, synthesis, voice
from rendering import plan as planning
from rendering.banks import Bank
from rendering.plan import RATE

TINY = settings.DataSet("tiny", "Tiny", ("cla", "gac", "sax"), ("tiny",), "irmas")
OWN = settings.DataSet("own", "Own", ("dob", "tb"), ("own",), "folders")
SEPARATED = replace(TINY, name="tiny_harm", folders=("tiny_harm",), source="tiny")
TINY_ARGUMENTS = ("-d", "20", "--train", "4", "--test", "5", "--seconds", "1", "2")
TRAIN_NAME = re.compile(
    r"(\d{3}__)?\[[a-z]{3}\](\[dru\]|\[nod\])?"
    r"\[(cla|pop_roc|jaz_blu|cou_fol|lat_sou)\]\d{4}__\d\.wav"
)


@pytest.fixture(scope="module", autouse=True)
def data_sets():
    with pytest.MonkeyPatch.context() as patch:
        for id_, data_set in ((20, TINY), (21, OWN), (22, SEPARATED)):
            patch.setitem(settings.DATA_SETS, id_, data_set)
        yield


def run(out, *arguments, processes=1):
    with changed({"DATA_PATH": out}):
        argv = [*arguments, "--processes", str(processes)]
        command.run(lambda: render_dataset.main(argv))


@pytest.fixture(scope="module")
def tiny(data_sets, tmp_path_factory):
    out = tmp_path_factory.mktemp("tiny")
    run(out, *TINY_ARGUMENTS)
    return out / "tiny"


@pytest.fixture(scope="module")
def soundfont():
    return render_dataset.default_soundfont().read_bytes()


def test_clips_are_as_in_irmas(tiny):
    train, test, left_out = metadata.read_irmas(tiny, TINY.labels, set(TINY.labels))
    assert not left_out
    assert Counter(clip.labels for clip in train) == {(label,): 4 for label in TINY.labels}
    assert all(TRAIN_NAME.fullmatch(Path(clip.filename).name) for clip in train)
    assert [*Counter(recording_of(clip.filename) for clip in train).values()] == [2] * 6
    assert len(test) == 5 and len({Path(clip.filename).parent for clip in test}) == 3
    waves = [tiny / clip.filename for clip in (*train, *test)]
    assert len({wave.read_bytes() for wave in waves}) == len(waves)
    for wave in waves:
        info, (audio, _) = soundfile.info(wave), soundfile.read(wave)
        assert (info.samplerate, info.channels, info.format) == (44100, 2, "WAV")
        assert info.subtype == "PCM_16"
        assert np.abs(audio).max() <= 0.951  # 0.95 and the rounding to 16 bit
        assert np.sqrt(np.mean(audio**2)) > 0.005
        texts = wave.with_suffix(".txt")
        if texts.exists():
            assert 44100 <= info.frames <= 2 * 44100
            assert re.fullmatch(r"([a-z]{3}\t\n){1,3}", texts.read_bytes().decode())
        else:
            assert info.frames == 3 * 44100


def test_nothing_else_is_left_in_the_folder(tiny):
    others = [p.name for p in tiny.rglob("*") if p.is_file() and p.suffix not in (".wav", ".txt")]
    assert sorted(others) == [".lock", "rendered.json"]
    assert json.loads((tiny / "rendered.json").read_text())["train"] == 4


def test_same_seed_same_bytes_with_two_processes(tiny, tmp_path):
    run(tmp_path, *TINY_ARGUMENTS, processes=2)
    assert contents(tmp_path / "tiny") == contents(tiny)


def test_a_second_run_keeps_whole_files_and_mends_others(tiny, capsys):
    before = contents(tiny)
    times = {path: (tiny / path).stat().st_mtime_ns for path in before}
    broken = sorted((tiny / "IRMAS-TrainingData" / "sax").glob("*__1.wav"))[0]
    broken.write_bytes(broken.read_bytes()[:1000])
    run(tiny.parent, *TINY_ARGUMENTS)
    assert contents(tiny) == before
    kept = [path for path in before if (tiny / path).stat().st_mtime_ns == times[path]]
    assert len(before) - len(kept) in (1, 2)  # the clips of one recording
    assert "kept" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("20", "--train", "5"), "other settings .*train: 4, not 5.*INSTREC_DATA_PATH"),
        (("22",), "separated from 'tiny'.*-d 20"),
        (("29",), "20, 21, 22, 23, found 29"),
        (("21", "--test", "3"), "no test set"),
        (("21", "--seconds", "9", "3"), "MIN <= MAX, found 9.0 3.0"),
        (("21", "--soundfont", settings.__file__), "not a SoundFont"),
        (("21", "--soundfont", "nowhere.sf2"), "nowhere.sf2"),
        (("21", "--soundfont", "a", "b"), "expected one SoundFont for Own, found 2: .*rendered/"),
    ],
)
def test_a_users_error_is_one_line(tiny, arguments, message):
    with pytest.raises(SystemExit, match=f"^error: .*{message}") as error:
        run(tiny.parent, "-d", *arguments)
    assert "\n" not in str(error.value)


def test_files_of_others_are_not_touched(tmp_path):
    real = tmp_path / "own" / "tb" / "a recording.wav"
    real.parent.mkdir(parents=True)
    real.touch()
    with pytest.raises(SystemExit, match="not made here"):
        run(tmp_path, "-d", "21")
    assert list(contents(tmp_path)) == ["own/tb/a recording.wav"]


def test_unknown_labels_are_named(monkeypatch):
    unknown = replace(OWN, labels=("kazoo", "tb"))
    monkeypatch.setitem(settings.DATA_SETS, 21, unknown)
    with pytest.raises(ValueError, match="kazoo"):
        planning.folder_labels(unknown)


def test_folders_layout(tmp_path, capsys):
    run(tmp_path, "-d", "21", "--train", "2", "--seconds", "1", "1.5")
    waves = sorted((tmp_path / "own").rglob("*.wav"))
    assert [wave.parent.name for wave in waves] == ["dob", "dob", "tb", "tb"]
    assert all(44100 <= soundfile.info(wave).frames <= 1.5 * 44100 for wave in waves)
    assert re.search(r"^double bass\s+2$", capsys.readouterr().out, re.MULTILINE)


def test_test_labels_come_equally_often_under_unique_odd_names():
    plan = planning.plan_irmas_test(settings.IRMAS, 120, 0, (5.0, 20.0))
    counts = Counter(label for recording in plan for label in recording.labels)
    assert len(counts) == 11
    assert max(counts.values()) - min(counts.values()) <= 1
    names = [Path(path).name for recording in plan for path in recording.paths]
    assert len({name.lower() for name in names}) == 120
    for oddity in ("[", "(", ",", "'", "  ", ". "):
        assert any(oddity in name for name in names), oddity
    assert any(name.startswith(" ") for name in names)
    assert all(5 * 44100 <= recording.frames <= 20 * 44100 for recording in plan)


def test_mix_scales_stems_to_their_levels():
    times = np.arange(44100) / 44100
    lead = np.stack([np.sin(2 * np.pi * 440 * times)] * 2, axis=1)
    lead[22050:] = 0  # a rest does not make the lead louder
    backing = 5 * np.stack([np.sin(2 * np.pi * 1000 * times)] * 2, axis=1)
    mixed = synthesis.mix([lead, backing], [-3, -15])
    spectrum = np.abs(np.fft.rfft(mixed[:22050, 0]))  # bins of 2 Hz
    assert 20 * np.log10(spectrum[220] / spectrum[500]) == pytest.approx(12, abs=0.01)
    assert synthesis.level(mixed[22050:]) == pytest.approx(-15, abs=0.01)


def test_a_silent_lead_is_noticed():
    noise = np.random.default_rng(0).normal(size=(3 * 44100, 2))
    assert synthesis.is_heard(noise, 3)
    noise[44100 : 2 * 44100] = 0
    assert not synthesis.is_heard(noise, 3)
    assert synthesis.is_heard(noise, 1)
    assert not synthesis.is_heard(1e-6 * noise, 1)


def test_a_song_is_drawn_until_all_its_leads_are_heard(soundfont):
    """Three leads, each in all of three clips: of this song's draws, the ninth is the first."""
    plan = planning.plan_irmas_test(settings.IRMAS, 600, 0, (5, 20), 3)
    song = next(song for song in plan if song.labels == ("cla", "org", "vio"))
    assert synthesis.perform(song, soundfont).shape == (3, song.frames, 2)


LABELS = {*music.INSTRUMENTS, *settings.IRMAS, *settings.MONOTIMBRAL, *settings.JAZZ}


@pytest.mark.parametrize("label", sorted(LABELS))
def test_leads_stay_in_range_and_are_not_accompanied_by_themselves(label):
    instrument = music.INSTRUMENTS[label]
    assert instrument.programs and all(0 <= program < 128 for program in instrument.programs)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        song = music.draw_song(rng, 10.0)
        pitches = [note.pitch for note in music.lead(rng, song, instrument)]
        assert instrument.low <= min(pitches) <= max(pitches) <= instrument.high
        for style in ("pop", "jazz"):
            lines = music.backing(rng, song, style, True, [label])
            assert lines[0].program is None
            assert not {line.program for line in lines} & set(instrument.programs)


def test_expressive_leads_have_the_whole_range_of_their_program_every_other_time():
    clarinet, trombone = music.INSTRUMENTS["cla"], music.INSTRUMENTS["tb"]
    drawn = [music.widened(np.random.default_rng(seed), clarinet, 71) for seed in range(200)]
    assert Counter((row.low, row.high) for row in drawn).keys() == {(50, 86), (50, 94)}
    assert 80 < sum(row.high == 94 for row in drawn) < 120
    assert all(row._replace(high=86) == clarinet for row in drawn)
    assert {music.widened(np.random.default_rng(i), trombone, 57) for i in range(9)} == {trombone}
    programs = [program for group in music.REACH for program in group]
    assert len(set(programs)) == len(programs)


def test_expressive_recordings_take_turns_alone_and_over_bands():
    plan = planning.plan_irmas_train((*settings.IRMAS, settings.NOTHING), 40, 0)
    plan = planning.make_expressive(plan + planning.plan_irmas_test(settings.IRMAS, 40, 0, (1, 1)))
    assert [recording.turn for recording in plan] == list(range(len(plan)))
    assert all(recording.expressive for recording in plan)
    styles = Counter(recording.style for recording in plan[:240])
    assert set(styles) == set(planning.BANDS)
    assert 0.35 < styles["alone"] / 240 < 0.65
    # What accompanies jazz and rock has labels itself, so that labels would be incomplete.
    complete = [r for r in plan if r.texts or settings.NOTHING in r.labels]
    assert {recording.style for recording in complete} == {"alone", "pop"}
    assert {r.drums for r in plan if r.style == "alone"} == {False}
    assert {r.drums for r in plan if r.style == "rock"} == {True}


def test_each_recording_is_played_by_the_soundfont_whose_turn_it_is(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(render_dataset, "read_soundfont", lambda path: path)
    monkeypatch.setattr(
        render_dataset, "perform", lambda recording, font: heard.append(font) or np.zeros((0, 9, 2))
    )
    all_banks = [Bank("a"), Bank("b"), Bank("c", frozenset({"pia", "org"}))]
    for turn in range(5):
        recording = planning.Recording(("pia",), (), 9, "alone", False, (0,), turn=turn)
        render_dataset.save(recording, tmp_path, all_banks)
    assert heard == ["a", "b", "a", "b", "a"]
    refuses("no SoundFont is left that plays pia", banks.turn_of, all_banks[2:], 0, ("pia",))


TABLE = """
[sources.here]
get = "make it"
[banks.one]
source = "here"
path = "bank"
sha256 = "{}"
without = ["cel"]
turns = 2
[banks.two]
source = "here"
path = "nowhere"
sha256 = ""
"""


def test_a_table_of_banks_checks_digests_and_says_how_to_get_what_is_missing(tmp_path):
    bank, table, said = tmp_path / "bank", tmp_path / "banks.toml", []
    bank.mkdir()
    for program in (*music.programs_played(["cel"]), 128):
        (bank / f"{program:03d}.sf2").write_bytes(bytes([program]))
    digest = banks.digest_of(bank, ["cel"])
    table.write_text(TABLE.format(digest))
    assert banks.read_table(table, ["cel"], said.append) == 2 * [(bank.resolve(), {"cel"})]
    assert said == ["left out, not there: two. To get it: make it"]
    (bank / "005.sf2").write_bytes(b"not played")
    assert banks.digest_of(bank, ["cel"]) == digest
    (bank / "128.sf2").write_bytes(b"other drums")
    refuses("none of the SoundFonts", banks.read_table, table, ["cel"], said.append)
    assert f"expected SHA-256 {digest[:16]}, found" in said[1]


def test_recorded_notes_become_a_soundfont_whose_keys_play_the_nearest_note():
    """A sine, and one with an overtone of twice its strength, which tells them apart."""
    t = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * librosa.midi_to_hz(pitch) * t) for pitch in (60, 67))
    high += 2 * np.sin(4 * np.pi * librosa.midi_to_hz(67) * t)
    notes = {60: (9000 * low).astype(np.int16), 67: (9000 * high).astype(np.int16)}
    content = samples.soundfont(40, notes)
    for pitch, octave in ((30, 0), (59, 0), (63, 0), (64, 1), (67, 1), (75, 1)):
        midi = synthesis.to_midi([music.Line(40, [music.Note(0, 0.5, pitch, 127)])], 1)
        y = synthesis.render(midi, content, RATE)[RATE // 10 : RATE // 2].mean(axis=1)
        strongest = np.argmax(np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * RATE))) / 8  # Hz
        assert abs(librosa.hz_to_midi(strongest) - 12 * octave - pitch) < 0.1
    assert abs(y).max() > 0.01


@pytest.mark.parametrize(("name", "pitch"), [("C4", 60), ("Cs4", 61), ("A0", 21), ("F2 v2", None)])
def test_the_name_of_a_note_is_its_pitch(name, pitch):
    assert samples.pitch_of(name) == pitch


def test_the_banks_of_the_model_that_comes_along_have_all_that_a_stranger_needs():
    table = tomllib.loads((PRETRAINED_ROOT / "banks.toml").read_text())
    assert len({row["sha256"] for row in table["banks"].values()}) == len(table["banks"])
    for row in table["banks"].values():
        assert row["licence"] and row["origin"] and re.fullmatch("[0-9a-f]{64}", row["sha256"])
        assert table["sources"][row["source"]]["get"] and table["sources"][row["source"]]["address"]
    for label in (*settings.IRMAS, settings.NOTHING):
        assert any(label not in row.get("without", ()) for row in table["banks"].values())


def test_expression_holds_notes_bends_pitch_and_sings(soundfont):
    """The same seed with and without: longer notes, and a voice that no SoundFont has."""
    song = music.Song(0, music.SCALES[0], (0, 3, 4, 0), 0.5, 60.0)
    longest = []
    for expressive in (False, True):
        rng = np.random.default_rng(0)
        leads = [
            music.lead(rng, song, music.INSTRUMENTS["voi"], expressive=expressive)
            for _ in range(20)
        ]
        longest.append(max(note.end - note.start for lead in leads for note in lead))
    assert longest[0] <= 1.5 < longest[1] <= 5
    plain = planning.plan_folders("own", ["voi"], 3, 0, (2.0, 2.0))
    for recording in planning.make_expressive(plain):
        audio = synthesis.perform(recording, soundfont)
        assert audio.shape == (1, 88200, 2) and 0.01 < np.max(np.abs(audio)) <= 0.95


@pytest.mark.parametrize("kind", nothing.GENERATED)
def test_sounds_of_nothing_are_heard_and_differ(kind):
    rate, make = 44100, nothing.GENERATED[kind]
    made = [make(np.random.default_rng(seed), 2 * rate, rate) for seed in (0, 0, 1)]
    assert all(y.shape == (2 * rate,) and np.isfinite(y).all() and y.std() > 1e-3 for y in made)
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_clips_with_none_of_the_labels_have_no_other_label(soundfont):
    labels = sorted((*settings.IRMAS, settings.NOTHING))
    plan = planning.plan_irmas_test(labels, 60, 0, (1.0, 1.0))
    with_none = [recording for recording in plan if settings.NOTHING in recording.labels]
    assert len(with_none) >= 4 and {r.labels for r in with_none} == {(settings.NOTHING,)}
    for recording in planning.make_expressive(with_none):
        assert np.abs(synthesis.perform(recording, soundfont)).max() > 0.01


def test_a_room_sounds_on():
    y = np.zeros(44100)
    y[100] = 1
    wet = voice.room(np.random.default_rng(0), y, 44100)
    assert wet[100] == pytest.approx(1, abs=0.1) and np.abs(wet[:100]).max() < 1e-6
    assert np.std(wet[200:2000]) > np.std(wet[-2000:]) > 0


def test_a_gesture_is_heard_as_bend_and_loudness(soundfont):
    """One note, two semitones up and softer in its second half."""
    times = np.arange(0, 2, 0.02)
    late = times >= 1
    gesture = music.Gesture(times, 2.0 * late, np.where(late, 0.3, 1.0))
    line = music.Line(40, [music.Note(0, 2, 69, 100)])
    midi = synthesis.to_midi([line], 2, gesture=gesture)
    audio = synthesis.render(midi, soundfont, 2 * 44100).mean(axis=1)
    first, second = audio[13230:39690], audio[48510:83790]
    assert np.std(second) < 0.6 * np.std(first)
    pitches = [np.median(librosa.yin(y, fmin=300, fmax=700, sr=44100)) for y in (first, second)]
    assert librosa.hz_to_midi(pitches) == pytest.approx([69, 71], abs=0.3)


def test_a_compressed_soundfont_is_refused_before_it_crashes_the_renderer(tmp_path):
    path = tmp_path / "x.sf3"
    path.write_bytes(
        b"RIFF\x00\x00\x00\x00sfbkLIST\x00\x00\x00\x00sdtasmpl\x08\x00\x00\x00OggS0000"
    )
    refuses(r"compressed \(SF3\).*sf3convert", render_dataset.read_soundfont, path)


@pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="fluidsynth is not installed")
def test_a_bank_of_a_file_a_program_sounds_as_it_is_written(tmp_path):
    refuses(r"expected 128.sf3 or 128.sf2 in", render_dataset.read_soundfont, tmp_path)
    for name in ("065.sf2", "128.sf2"):
        (tmp_path / name).symlink_to(render_dataset.default_soundfont())
    bank = render_dataset.read_soundfont(tmp_path)
    midi = synthesis.to_midi([music.Line(65, [music.Note(0.5, 2.5, 69, 100)])], 3.0)
    y = synthesis.render(midi, bank, 3 * planning.RATE, [65])
    assert y.shape == (3 * planning.RATE, 2) and np.abs(y[: planning.RATE // 4]).max() < 1e-3
    held = y[planning.RATE : 2 * planning.RATE].mean(axis=1)
    f0 = librosa.yin(held, fmin=200, fmax=1000, sr=planning.RATE)
    assert librosa.hz_to_midi(np.median(f0)) == pytest.approx(69, abs=0.2)
    (tmp_path / "065.sf2").unlink()
    refuses(
        r"expected 065.sf3 or 065.sf2 in", synthesis.render, midi, bank, 3 * planning.RATE, [65]
    )
    (tmp_path / "065.sf3").write_bytes(b"no SoundFont")
    refuses(
        r"fluidsynth can't play .*065.sf3", synthesis.render, midi, bank, 3 * planning.RATE, [65]
    )


def test_a_song_has_several_excerpts_whose_names_tell():
    plan = planning.plan_irmas_test(settings.IRMAS, 20, 0, (5.0, 9.0), excerpts=3)
    assert [len(recording.paths) for recording in plan] == [3] * 6 + [2]
    songs = [{song_of(path) for path in recording.paths} for recording in plan]
    assert all(len(names) == 1 for names in songs) and len(set.union(*songs)) == 7
    single = planning.plan_irmas_test(settings.IRMAS, 7, 0, (5.0, 9.0))
    # The first excerpts are named and seeded as if there were no others.
    assert [r.paths[0] for r in single] == [r.paths[0] for r in plan]
    assert [r.key for r in single] == [r.key for r in plan]


def test_taking_turns_divides_the_time():
    notes = [music.Note(start, start + 0.5, 60, 90) for start in range(6)]
    lines = [music.Line(program, notes) for program in (1, 2)]
    first, second = music.take_turns(lines, 2)
    assert [note.start for note in first.notes] == [0, 1, 4, 5]
    assert [note.start for note in second.notes] == [2, 3]


def test_a_pedal_holds_notes_to_the_bar_and_a_strum_spreads_a_chord():
    song = music.Song(0, music.SCALES[0], (0,), 0.5, 8.0)  # bars of 2 s
    notes = [music.Note(0, 0.4, 60, 90), music.Note(1, 1.4, 60, 90), music.Note(1, 1.4, 64, 90)]
    assert [n.end for n in music.pedalled(song, notes)] == [1, 2, 2]
    chord = [music.Note(1, 2, pitch, 90) for pitch in (64, 60, 67)]
    played = music.strummed(np.random.default_rng(0), chord)
    gaps = np.diff([n.start for n in played])
    assert (gaps > 0.004).all() and (gaps < 0.041).all()
    assert [n.pitch for n in played] in ([60, 64, 67], [67, 64, 60])


def test_riffs_are_of_fifths_and_muted_roots_and_start_every_bar():
    song = music.Song(9, music.SCALES[1], (0, 5), 0.5, 8.0)  # A minor, F; bars of 2 s
    programs = set()
    for seed in range(50):
        notes = music.power_chords(np.random.default_rng(seed), song)
        assert {0.0, 2.0, 4.0, 6.0} <= {note.start for note in notes}
        for bar in range(4):
            struck = [note for note in notes if 2 * bar <= note.start < 2 * bar + 2]
            root = min(note.pitch for note in struck)
            assert 36 <= root < 57 and root % 12 == (5 if bar % 2 else 9)
            assert {note.pitch - root for note in struck} <= {0, 7, 12}
        clean, muted = music.CLEAN, music.MUTED
        lines = dict(music.unamplified(music.Line(30, notes)))
        assert sorted(note for line in lines.values() for note in line) == sorted(notes)
        assert {n.pitch % 12 for n in lines.get(muted, [])} <= {9, 5}
        assert all(n.end - n.start < 0.09 for n in lines.get(muted, []))
        assert all(n.end - n.start > 0.09 for n in lines.get(clean, []))
        programs |= lines.keys()
    assert programs == {clean, muted}


def test_a_rock_band_has_all_its_guitars_whatever_leads():
    bands = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        song = music.draw_song(rng, 4.0)
        bands.append([line.program for line in music.backing(rng, song, "rock", True, ["gel"])])
    assert {program for _, program, _ in bands} == set(music.CHORD_PROGRAMS["rock"])


def test_an_amplifier_distorts_chords_as_a_whole_and_folds_nothing_back():
    times = np.arange(44100)[:, None] / 44100

    def heard(*frequencies):
        tones = sum(np.sin(2 * np.pi * f * times) for f in frequencies) * np.ones((1, 2))
        audio = synthesis.amplified(np.random.default_rng(1), 0.01 * tones)
        return 20 * np.log10(
            np.abs(np.fft.rfft(audio[:, 0] * np.hanning(44100)))
        )  # dB, bins of 1 Hz

    single, chord, high = heard(600), heard(600, 900), heard(5000)
    assert single[1800] > single[600] - 20  # the third harmonic
    assert single[300] < single[600] - 60 and chord[300] > chord[600] - 25  # 2 * 600 - 900
    assert high[19100] < high[15000] - 30  # where the fifth harmonic, 25 kHz, would be folded to
    assert not synthesis.amplified(np.random.default_rng(1), np.zeros((4410, 2))).any()


def test_slurred_notes_are_struck_once_and_bent_to_every_pitch():
    pitches = (69, 71, 74, 72, 69, 60, 60, 64)
    notes = [music.Note(i / 2, i / 2 + 0.45, pitch, 90) for i, pitch in enumerate(pitches)]
    struck = Counter()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        joined, bends = music.slurred(rng, notes)
        struck[len(joined)] += 1
        assert {note.start for note in joined} <= {note.start for note in notes}
        assert all(end.start - start.end < 0.06 for start, end in itertools.pairwise(joined))
        assert all(note.end - note.start <= music.LONGEST_SLUR for note in joined)
        gesture = music.draw_gesture(rng, joined, 4.0, holds=True, bends=bends)
        for note in notes:
            base = [n.pitch for n in joined if n.start <= note.start][-1]
            sounds = (gesture.times > note.start + 0.1) & (gesture.times < note.end)
            heard = base + gesture.bend[sounds]  # with trills, vibrato and the tuning
            assert heard.min() == pytest.approx(note.pitch, abs=1.2)
            assert heard.max() < note.pitch + 3.2
    assert min(struck) == 2 and max(struck) >= 7  # 69 to 60 is too far
    chord = [music.Note(0, 1, 60, 90), music.Note(0, 1, 64, 90)]
    assert music.slurred(np.random.default_rng(0), chord) == (chord, [])


def test_a_wide_bend_reaches_its_pitch(soundfont):
    times = np.arange(0, 1.5, music.GESTURE_STEP)
    gesture = music.Gesture(times, np.where(times < 0.75, 0.0, -5.0), np.ones(len(times)))
    line = music.Line(73, [music.Note(0, 1.5, 81, 100)])  # a flute's A5
    audio = synthesis.render(synthesis.to_midi([line], 1.5, gesture=gesture), soundfont, 66150)
    for start, pitch in ((0.2, 81), (0.95, 76)):
        played = audio[int(start * 44100) :][:22050, 0] * np.hanning(22050)  # bins of 2 Hz
        loudest = 2 * np.abs(np.fft.rfft(played)).argmax()
        assert librosa.hz_to_midi(loudest) == pytest.approx(pitch, abs=0.3)


def test_double_stops_are_a_third_to_a_sixth_below_in_the_scale():
    song = music.Song(0, music.SCALES[0], (0,), 0.5, 8.0)  # C major
    notes = [music.Note(i, i + 1, pitch, 90) for i, pitch in enumerate((55, 57, 72, 76, 79) * 9)]
    played = music.double_stopped(np.random.default_rng(0), song, notes, 55)
    second = [note for note in played if note not in notes]
    assert 16 < len(second) < 27  # four fifths of the 27 notes that have room below
    for note in second:
        upper = next(n for n in notes if n.start == note.start)
        assert 3 <= upper.pitch - note.pitch <= 9 and note.pitch in song.pitches(55, 80)
