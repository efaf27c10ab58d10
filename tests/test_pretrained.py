"""The included model: what lies in pretrained/, and that it recognises something."""

import dataclasses
import json

import numpy as np
import soundfile

import render_dataset
import settings
from instrec import experiments
from instrec.learning import model_files, trained
from instrec.scoring import recognition
from rendering import nothing, plan, synthesis

FILES = model_files.pretrained_files()


def test_it_is_small_and_says_how_it_was_made():
    assert sum(path.stat().st_size for path in FILES.folder.iterdir()) < 8e6
    record = json.loads(FILES.run_record(0).read_text())
    trained.load(FILES, 0, "").check_weights()
    assert record["recipe"]["labels"] == sorted((*settings.IRMAS, settings.NOTHING))
    assert record["trained_on"] == "rendered training data"
    recipe = experiments.load(str(model_files.PRETRAINED_ROOT / "recipe.toml"))
    assert {name: record["settings"][name] for name in recipe.parameters} == recipe.parameters
    assert recognition.Recogniser(FILES).has_thresholds
    assert json.loads(FILES.scores.read_text())["half"] == "pure half of the rendered test data"


def test_it_knows_most_solos_that_it_has_not_met(tmp_path):
    """New music of a SoundFont that it was trained on: recordings are harder."""
    soundfont = render_dataset.default_soundfont().read_bytes()
    recordings = plan.plan_folders("own", settings.IRMAS, 1, 99, (4.0, 4.0))
    recogniser = recognition.Recogniser(FILES)
    right, none = [], []
    for recording in recordings:
        path = tmp_path / f"{recording.labels[0]}.wav"
        alone = dataclasses.replace(recording, style="alone", drums=False)
        soundfile.write(path, synthesis.perform(alone, soundfont)[0], plan.RATE)
        found = recogniser.predict(path)
        right.append(found.table.index[0] == recording.labels[0])
        none.append(found.is_none)
    assert sum(right) >= 8  # of 11; by chance it would be one
    assert not any(none)


def test_it_says_none_of_what_is_no_instrument(tmp_path):
    """Noise, tones, speech-like sounds and drums; drums of recordings are harder."""
    recogniser, flags = recognition.Recogniser(FILES), []
    for kind, make in nothing.GENERATED.items():
        for seed in range(3):
            path = tmp_path / f"{kind}{seed}.wav"
            y = make(np.random.default_rng([99, seed]), 4 * plan.RATE, plan.RATE)
            soundfile.write(path, 0.5 * y / np.abs(y).max(), plan.RATE)
            flags.append(recogniser.predict(path).is_none)
    assert np.mean(flags) >= 0.75
