import sys
import tracemalloc
from functools import partial

import numpy as np
import pytest

import separation
from separation import harmonic_percussive, in_blocks, melody, solo_accompaniment
from separation.melody import STEP, num_values

RATE = 44100
SEPARATIONS = {
    "phase": harmonic_percussive,
    "median": partial(harmonic_percussive, method="median"),
    "solo": solo_accompaniment,
}
every_separation = pytest.mark.parametrize("separate", SEPARATIONS.values(), ids=SEPARATIONS)


def sine(sr=RATE, frequency=440, seconds=2):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * sr)) / sr)


def clicks(sr=RATE, seconds=2, every=0.25):
    y = np.zeros(int(seconds * sr))
    y[int(0.1 * sr) :: int(every * sr)] = 1
    return y


def tune(sr=RATE, seconds=4, low=300):
    """A melody with vibrato, eight partials and short pauses; and its pitch in Hz."""
    time = np.arange(int(seconds * sr)) / sr
    notes = low * 2 ** (np.array([0, 4, 7, 5, 9, 12, 7, 2]) / 12)
    index = (time / 0.5).astype(int)
    pitch = notes[index % 8] * 2 ** (0.25 / 12 * np.sin(2 * np.pi * 5 * time))
    envelope = np.interp(time % 0.5, [0, 0.02, 0.4, 0.44, 0.5], [0, 1, 0.7, 0, 0])
    phase = 2 * np.pi * np.cumsum(pitch) / sr
    partials = (np.sin(n * phase) / n for n in range(1, 9) if 9 * low * 2 * n / 8 < sr / 2)
    return 0.3 * envelope * sum(partials), np.where(envelope > 0.01, pitch, 0)


def mixture(sr=RATE, seconds=2, channels=2):
    rng = np.random.default_rng(3)
    chords = sum(sine(sr, f, seconds) for f in (131, 196, 247)) / 8
    parts = tune(sr, seconds)[0] + chords + clicks(sr, seconds)
    return np.stack([parts * gain for gain in rng.uniform(0.3, 1, channels)])


def backing():
    """Chords and clicks of 4 s."""
    return sum(sine(frequency=f, seconds=4) for f in (131, 196, 247)) / 8 + clicks(seconds=4)


def energy(y):
    return float((np.asarray(y, float) ** 2).sum())


def decibels(ratio):
    return 10 * np.log10(ratio + 1e-30)


def si_sdr(estimate, reference):
    target = reference * (estimate @ reference) / (reference @ reference)
    return decibels(energy(target) / energy(estimate - target))


# --- what holds for every separation ----------------------------------------------------------
@every_separation
@pytest.mark.parametrize("sr", [8000, 11025, 44100, 96000])
def test_parts_add_up_at_any_rate_and_nothing_else_changes(separate, sr):
    y = mixture(sr, seconds=1).astype(np.float32)
    before = y.copy()
    first, second = separate(y, sr)
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(separate(y, sr), (first, second))
    for part in first, second:
        assert part.shape == y.shape and part.dtype == y.dtype
        assert energy(part) > 1e-3 * energy(y)
    np.testing.assert_allclose(first + second, y, atol=1e-6)


@every_separation
@pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa's, of 'median'
@pytest.mark.parametrize(
    "shape", [(0,), (1,), (2, 7), (2, 2047), (1, 2048), (2, 3, 2049), (6, 5000)], ids=str
)
def test_short_audio_and_silence_of_any_channel_count(separate, shape):
    y = np.random.default_rng(sum(shape)).normal(size=shape) / 10
    first, second = separate(y, RATE)
    assert first.shape == second.shape == y.shape
    np.testing.assert_allclose(first + second, y, atol=1e-12)  # double precision stays
    assert not np.any(separate(0 * y, RATE))


@every_separation
@pytest.mark.parametrize("scale", [-1.0, 1e-3, 30.0])
def test_scaling_the_input_scales_the_output(separate, scale):
    y = mixture()
    for part, scaled in zip(separate(y, RATE), separate(scale * y, RATE), strict=True):
        np.testing.assert_allclose(scaled / scale, part, atol=1e-6)


@every_separation
def test_audio_that_cannot_be_separated_is_refused(separate):
    for bad in (np.nan, np.inf):
        y = mixture()
        y[1, 500] = bad
        with pytest.raises(ValueError, match="found 1 samples that are NaN or infinite"):
            separate(y, RATE)
    with pytest.raises(ValueError, match=r"floating-point audio .* found .* int16"):
        separate(np.zeros(100, np.int16), RATE)
    with pytest.raises(ValueError, match="sampling rate in Hz above 0, found 0"):
        separate(np.zeros(100), 0)


@pytest.mark.parametrize(
    ("function", "lowest"), [(harmonic_percussive, 80), (solo_accompaniment, 15)]
)
def test_blocks_equal_the_whole(monkeypatch, function, lowest):
    module = sys.modules[function.__module__]  # as an attribute, its name is the function
    y = mixture(22050, seconds=16, channels=1)[0]
    whole = function(y, 22050)
    monkeypatch.setattr(module, "BLOCK", 3 * module.OVERLAP)
    for part, expected in zip(function(y, 22050), whole, strict=True):
        assert decibels(energy(expected) / energy(part - expected)) > lowest


def test_memory_does_not_depend_on_the_length():
    def peak(seconds):
        y = np.resize(mixture(8000, 2, 1)[0].astype(np.float32), 8000 * seconds)
        tracemalloc.start()
        blocks = in_blocks(
            lambda block, _: harmonic_percussive(block, 8000), [y], block=2**16, overlap=2**13
        )
        assert sum(first.size for first, _ in blocks) == y.size
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(120) < 1.1 * peak(30)


@pytest.mark.parametrize("n", [0, 5, 100, 101, 140, 141, 1000])
def test_in_blocks_gives_every_sample_once(n):
    y = np.arange(n, dtype=float)
    starts = []

    def separate(block, start):
        starts.append(start)
        np.testing.assert_array_equal(block, y[start : start + len(block)])
        return block, -block

    blocks = list(in_blocks(separate, [y], block=100, overlap=60))
    np.testing.assert_allclose(np.concatenate([first for first, _ in blocks]), y)
    np.testing.assert_allclose(np.concatenate([second for _, second in blocks]), -y)
    assert starts == list(range(0, max(n - 60, 1), 40))


# --- harmonic/percussive ----------------------------------------------------------------------
@pytest.mark.parametrize("sr", [8000, 44100, 48000, 96000])
def test_sines_are_harmonic_and_clicks_percussive(sr):
    for frequency in (60, 440.3, 3000):
        harmonic, percussive = harmonic_percussive(sine(sr, frequency), sr)
        assert decibels(energy(harmonic) / energy(percussive)) > 20
    for every in (0.25, 0.5):
        harmonic, percussive = harmonic_percussive(clicks(sr, every=every), sr)
        assert decibels(energy(percussive) / energy(harmonic)) > 20


def test_sine_and_clicks_come_apart():
    tone, beats = sine(), clicks()
    harmonic, percussive = harmonic_percussive(tone + beats, RATE)
    assert si_sdr(harmonic, tone) > 20
    assert si_sdr(percussive, beats) > si_sdr(tone + beats, beats) + 15


def test_harmonic_part_is_empty_above_8_khz():
    y = mixture(channels=1)[0] + sine(frequency=9000) + sine(frequency=12000)
    harmonic, percussive = harmonic_percussive(y, RATE)
    spectrum = np.abs(np.fft.rfft(harmonic * np.hanning(len(harmonic)))) ** 2
    above = np.fft.rfftfreq(len(harmonic), 1 / RATE) > 8100
    assert decibels(spectrum[above].sum() / spectrum.sum()) < -60
    assert energy(percussive) > 0.9 * energy(sine(frequency=9000) + sine(frequency=12000))


# --- melody -----------------------------------------------------------------------------------
def contour(pitch, sr=RATE):
    """A pitch as `melody` gives it: a value each STEP, from one each sample."""
    return pitch[np.minimum(np.arange(0, len(pitch) + 1, STEP * sr).astype(int), len(pitch) - 1)]


def errors_of(found, pitch, sr=RATE):
    """Errors of a melody where there is a pitch: in cents, infinite where none was found."""
    expected = contour(pitch, sr)
    cents = 1200 * np.abs(np.log2(np.maximum(found, 1) / np.maximum(expected, 1)))
    return np.where(found > 0, cents, np.inf)[expected > 0]


@pytest.mark.parametrize("sr", [8000, 22050, 44100, 96000])
def test_melody_of_a_clean_tune(sr):
    y, pitch = tune(sr)
    found = melody(y, sr)
    assert len(found) == 1 + int(len(y) / sr / STEP)
    cents = errors_of(found, pitch, sr)
    assert np.mean(np.isfinite(cents)) > 0.85
    assert np.mean(cents[np.isfinite(cents)] < 50) > 0.9


def test_melody_knows_silence():
    y, _ = tune()
    silence = np.zeros(2 * RATE)
    found = melody(np.concatenate([silence, y, silence]), RATE)
    assert not found[:180].any()
    assert not found[-180:].any()
    assert not melody(silence, RATE).any()


def test_melody_stands_out_from_chords_and_clicks():
    y, pitch = tune()
    found = melody(y + backing(), RATE)
    assert np.mean(errors_of(found, pitch) < 50) > 0.8


# --- solo/accompaniment -----------------------------------------------------------------------
def test_solo_over_accompaniment():
    y, pitch = tune()
    rest = backing()
    rest *= np.sqrt(energy(y) / energy(rest))
    for given in None, contour(pitch):
        solo, accompaniment = solo_accompaniment(y + rest, RATE, pitch=given)
        assert si_sdr(solo, y) > 10
        assert si_sdr(accompaniment, rest) > 10


def test_attacks_leave_the_solo():
    y, pitch = tune()
    beats = np.convolve(clicks(seconds=4), np.hanning(20), "same")
    solo, _ = solo_accompaniment(y + beats, RATE, pitch=contour(pitch))
    clean, _ = solo_accompaniment(y, RATE, pitch=contour(pitch))
    assert decibels(energy(solo - clean) / energy(beats)) < -6


def test_no_pitch_means_no_solo():
    y = mixture(channels=1)[0]
    nothing = np.zeros(1 + int(len(y) / RATE / STEP))
    solo, accompaniment = solo_accompaniment(y, RATE, pitch=nothing)
    assert not solo.any()
    np.testing.assert_array_equal(accompaniment, y)
    half = contour(tune(seconds=2)[1])
    half[100:] = 0
    solo, _ = solo_accompaniment(y, RATE, pitch=half)
    assert solo[:RATE].any() and not solo[int(1.2 * RATE) :].any()
    as_nan = solo_accompaniment(y, RATE, pitch=np.where(half > 0, half, np.nan))
    np.testing.assert_array_equal(as_nan[0], solo)


def test_stereo_image_is_kept():
    y = mixture()
    solo, _ = solo_accompaniment(y, RATE)
    np.testing.assert_allclose(solo[0] * y[1, 1000], solo[1] * y[0, 1000], atol=1e-6)
    swapped, _ = solo_accompaniment(np.stack([y[0], -y[0]]), RATE)
    assert energy(swapped) > 0.1 * energy(y)  # channels out of phase do not cancel


@pytest.mark.parametrize(
    ("function", "options"),
    [
        *((harmonic_percussive, {name: 0}) for name in ("tolerance", "max_frequency", "n_fft")),
        (harmonic_percussive, {"method": "mean"}),
        (melody, {"method": "crepe"}),
        *((solo_accompaniment, {name: -1}) for name in ("num_partials", "deviation", "release")),
        *((each, {"hop_length": 2048}) for each in (harmonic_percussive, solo_accompaniment)),
        *((each, {"hop_length": 300}) for each in (harmonic_percussive, solo_accompaniment)),
        *((solo_accompaniment, {"pitch": np.full(201, value)}) for value in (-1.0, np.inf)),
        (solo_accompaniment, {"pitch": np.zeros(9)}),
    ],
)
def test_impossible_parameters_are_refused(function, options):
    with pytest.raises(ValueError, match="expected"):
        function(sine(), RATE, **options)


def test_partials_may_deviate_from_multiples_of_the_pitch():
    """A stiff string: the tenth partial is 40 cents sharp."""
    t = np.arange(2 * RATE) / RATE
    f0 = 220.0
    numbers = np.arange(1, 13)
    frequencies = f0 * numbers * np.sqrt(1 + 0.00047 * numbers**2)
    tone = sum(np.sin(2 * np.pi * f * t) / n for n, f in zip(numbers, frequencies, strict=True))
    noise = 0.3 * np.random.default_rng(0).standard_normal(len(t))
    pitch = np.full(num_values(len(t), RATE), f0)
    deviating, rigid = (
        solo_accompaniment(tone + noise, RATE, pitch=pitch, deviation=deviation)[0]
        for deviation in (0.5, 0.0)
    )
    assert si_sdr(deviating, tone) > si_sdr(rigid, tone) + 0.5


ENERGIES_OF_VERSION_1 = [0.7266, 0.00982, 0.4964, 0.2524]  # of the four parts of the sound below


def test_the_version_is_raised_with_the_results():
    """Separated trees are refused if this number differs: results and number change together."""
    rng = np.random.default_rng(0)
    t = np.arange(RATE) / RATE
    y = np.sin(2 * np.pi * 440 * t) + 0.5 * np.sign(np.sin(2 * np.pi * 3 * t))
    y += 0.05 * rng.standard_normal(RATE)
    energies = [
        float(np.mean(part**2))
        for separate in (harmonic_percussive, solo_accompaniment)
        for part in separate(y, RATE)
    ]
    assert separation.VERSION == 1
    np.testing.assert_allclose(energies, ENERGIES_OF_VERSION_1, rtol=0.01)
