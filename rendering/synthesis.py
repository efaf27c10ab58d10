"""How it sounds: lines to MIDI, MIDI through a SoundFont to audio, and stems to a mix.

Conventions: levels are dB, audio is an array (frames, 2) at 44.1 kHz.
"""

import io
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from instrec.errors import InputError
from rendering import music, nothing, voice
from rendering.music import Gesture, Line
from rendering.plan import RATE, Recording
from settings import NOTHING

LEAD_IN = 1.0  # s, rendered and cut off, so that clips begin mid-music
PEAK = 0.95  # no sample exceeds it
LOUDNESS = (-26, -14)  # dB, range of a recording's level
BACKING = (-22, -10)  # dB, range of the accompaniment's level against the lead's
BAND = (-18, 4)  # dB, likewise of expressive recordings
ROCK = (-10, 5)  # dB, likewise where the band is a rock band
MIN_LEAD = -15  # dB: least level of a lead in a clip, rests included, against its level as it plays
ATTEMPTS = 64  # at a song: with three leads to be heard in each of three short clips, a third pass
MIN_RMS = 1e-4  # of a rendered lead: below it, the SoundFont lacks the program
SUNG = 0.85  # share of expressive voices that are synthesised, not played by a SoundFont
AMPLIFIED = 0.6  # share of distorted guitars that are clean ones through an amplifier
SLURS = 0.6  # share of leading bows, winds and played voices that slur
RIFFS = 0.4  # share of leading distorted guitars that play power chords
ELECTRIC_ORGANS = (16, 18)  # drawbar, rock: they swell and tremble; pipes can't


def to_midi(
    lines: Iterable[Line],
    seconds: float,
    reverb: int = 0,
    pan: int = 64,
    gesture: Gesture | None = None,
) -> bytes:
    """Write lines as a MIDI file of at least `seconds`; `reverb` and `pan` are 0 to 127.

    Parameters
    ----------
    lines : iterable of Line
        What is played.
    seconds : float
        Length; notes are cut there.
    reverb, pan : int
        Of all lines, 0 to 127; 64 is the middle.
    gesture : Gesture, optional
        How pitch and loudness move.

    Returns
    -------
    bytes
        Content of a `.mid` file.
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI()
    for line in lines:
        instrument = pretty_midi.Instrument(line.program or 0, is_drum=line.program is None)
        instrument.notes = [
            pretty_midi.Note(n.velocity, n.pitch, n.start, min(n.end, seconds))
            for n in line.notes
            if n.start < seconds - 0.01
        ]
        # Volume, pan, reverb, chorus; and expression at the end, because rendering stops with the
        # last event.
        changes = ((7, 127, 0), (10, pan, 0), (91, reverb, 0), (93, 0, 0), (11, 127, seconds))
        reach = 2  # semitones of a bend, unless told otherwise
        if gesture is not None and np.abs(gesture.bend).max() > reach:
            reach = 12
            changes += ((101, 0, 0), (100, 0, 0), (6, reach, 0.01))
        instrument.control_changes = [pretty_midi.ControlChange(*change) for change in changes]
        if gesture is not None:
            loudness = np.round(127 * gesture.loudness).astype(int).tolist()
            bends = np.round(8191 * np.clip(gesture.bend / reach, -1, 1)).astype(int).tolist()
            for time, value, bend in zip(gesture.times, loudness, bends, strict=True):
                instrument.pitch_bends.append(pretty_midi.PitchBend(bend, time))
                if time < seconds:
                    instrument.control_changes.append(pretty_midi.ControlChange(11, value, time))
        midi.instruments.append(instrument)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


def render(
    midi: bytes, soundfont: bytes | Path, frames: int, programs: Iterable[int | None] = ()
) -> np.ndarray:
    """Render a MIDI file.

    Parameters
    ----------
    midi : bytes
        Content of a `.mid` file.
    soundfont : bytes or Path
        Content of a `.sf2` file; or the folder of a bank with one file per program.
    frames : int
        Length at 44.1 kHz; the audio is cut, or padded with zeros.
    programs : iterable of int or None
        Those needed from the bank; None is the drum kit.

    Returns
    -------
    np.ndarray, shape (frames, 2)
        Audio, as loud as the SoundFont makes it.
    """
    import soundfile
    import soxr

    if isinstance(soundfont, Path):
        wave = io.BytesIO(_fluidsynth(midi, [file_of(soundfont, program) for program in programs]))
    else:
        import midirenderer

        wave = io.BytesIO(midirenderer.render_wave_from(soundfont, midi))
    audio, rate = soundfile.read(wave, always_2d=True)
    audio = soxr.resample(audio, rate, RATE)[:frames]  # midirenderer's rate is 48 kHz
    return np.pad(audio, ((0, frames - len(audio)), (0, 0)))


def file_of(bank: Path, program: int | None) -> Path:
    """Find the file of a program in a bank of one per program: 000 to 127, and 128 for drums.

    Parameters
    ----------
    bank : Path
        Its folder.
    program : int or None
        General MIDI program, counted from 0; None is the drum kit.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it is missing.
    """
    name = f"{128 if program is None else program:03d}"
    for path in (bank / f"{name}.sf3", bank / f"{name}.sf2"):
        if path.is_file():
            return path
    raise InputError(f"expected {name}.sf3 or {name}.sf2 in {bank}, found neither")


def _fluidsynth(midi: bytes, soundfonts: Sequence[Path]) -> bytes:
    """Render a MIDI file to WAV with fluidsynth, which plays compressed SoundFonts (SF3)."""
    with tempfile.TemporaryDirectory() as folder:
        song, wave = Path(folder, "song.mid"), Path(folder, "song.wav")
        song.write_bytes(midi)
        # No default: fluidsynth would play it, and report success, if it cannot read a file.
        options = ["-o", "synth.default-soundfont=", "-q", "-n", "-i", "-g", "1", "-r", str(RATE)]
        command = ["fluidsynth", *options, "-F", wave, *soundfonts, song]
        try:
            errors = subprocess.run(command, capture_output=True).stderr.decode(errors="replace")
        except FileNotFoundError:
            raise InputError(
                "fluidsynth, which plays banks with one file per program, is missing: "
                "apt-get install fluidsynth"
            ) from None
        if "error" in errors or not wave.exists():
            names = ", ".join(str(path) for path in soundfonts)
            raise InputError(f"fluidsynth can't play {names}: {' '.join(errors.split())}")
        return wave.read_bytes()


def to_db(power: float) -> float:
    """Return a mean square as a level in dB; silence is -inf.

    Parameters
    ----------
    power : float
        Mean of the squares of samples.

    Returns
    -------
    float
    """
    return 10 * float(np.log10(power)) if power > 0 else -np.inf


def level(audio: np.ndarray) -> float:
    """Return the level of audio while it plays, leaving out rests.

    Parameters
    ----------
    audio : np.ndarray, shape (frames, 2)
        At least 50 ms.

    Returns
    -------
    float
        RMS in dB over the blocks of 50 ms that are less than 30 dB below the loudest.
    """
    block = RATE // 20
    blocks = audio[: len(audio) // block * block].reshape(-1, 2 * block)
    powers = np.mean(blocks**2, axis=1)  # (blocks,)
    return to_db(powers[powers >= powers.max() / 1000].mean())


def mix(stems: Sequence[np.ndarray], levels: Sequence[float]) -> np.ndarray:
    """Add stems up, each scaled to its own level.

    Parameters
    ----------
    stems : sequence of np.ndarray, shape (frames, 2)
        None of them silent.
    levels : sequence of float
        What `level` should be for each stem, in dB.

    Returns
    -------
    np.ndarray, shape (frames, 2)
        The sum.
    """
    gains = [10 ** ((want - level(stem)) / 20) for want, stem in zip(levels, stems, strict=True)]
    return sum(gain * stem for gain, stem in zip(gains, stems, strict=True))


def is_heard(stem: np.ndarray, clips: int) -> bool:
    """Whether a stem, cut into `clips` equal clips, plays in each for more than a moment.

    Parameters
    ----------
    stem : np.ndarray, shape (clips * frames, 2)
        Audio of one instrument.
    clips : int
        How many clips it is cut into.

    Returns
    -------
    bool
    """
    quietest = min(np.mean(clip**2) for clip in np.split(stem, clips))
    return quietest > MIN_RMS**2 and to_db(quietest) > level(stem) + MIN_LEAD


def perform(recording: Recording, soundfont: bytes | Path) -> np.ndarray:
    """Compose, render and mix a recording.

    Parameters
    ----------
    recording : Recording
        What to play.
    soundfont : bytes or Path
        As `render` takes it.

    Returns
    -------
    np.ndarray, shape (clips, frames, 2)
        Audio from -0.95 to 0.95; every labelled instrument is heard in every clip.

    Raises
    ------
    InputError
        If an instrument stays silent, as it does when the SoundFont lacks it.
    """
    for attempt in range(ATTEMPTS):  # now and then a lead rests through a clip
        # From 1: a trailing 0 would not change the seed, and the key alone drew the plan.
        rng = np.random.default_rng([*recording.key, 1 + attempt])
        leads, accompaniment = play(rng, recording, soundfont)
        if all(is_heard(stem, len(recording.paths)) for stem in leads):
            break
    else:
        raise InputError(f"the SoundFont is silent for {' or '.join(recording.labels)}")
    spread = (4 if recording.expressive else 2) if len(leads) > 1 else 0
    band_level = BACKING
    if recording.expressive:
        band_level = ROCK if recording.style == "rock" else BAND
    levels = rng.uniform(-spread, spread, len(leads))
    levels = [*levels, *rng.uniform(*band_level, len(accompaniment))]
    audio = mix(leads + accompaniment, levels)
    if recording.expressive:
        audio = recorded(rng, audio)
    audio *= min(10 ** ((rng.uniform(*LOUDNESS) - level(audio)) / 20), PEAK / np.abs(audio).max())
    return audio.reshape(len(recording.paths), recording.frames, 2)


def recorded(rng: np.random.Generator, audio: np.ndarray) -> np.ndarray:
    """Apply, each at random, a limiter, an old record's band, and hiss.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    audio : np.ndarray, shape (frames, 2)
        A mix, not silent.

    Returns
    -------
    np.ndarray, shape (frames, 2)
    """
    from scipy import signal

    if rng.random() < 0.4:
        driven = rng.uniform(1, 5) * audio / np.abs(audio).max()
        audio = np.tanh(driven)
    if rng.random() < 0.25:
        edges = {"lowpass": (2500, 9000), "highpass": (60, 350)}
        kind = str(rng.choice([*edges]))
        edge = np.exp(rng.uniform(*np.log(edges[kind])))
        audio = signal.sosfilt(signal.butter(2, edge, kind, fs=RATE, output="sos"), audio, axis=0)
    if rng.random() < 0.25:
        hiss = rng.standard_normal(audio.shape) * audio.std()
        audio = audio + 10 ** (rng.uniform(-55, -25) / 20) * hiss
    return audio


def amplified(rng: np.random.Generator, audio: np.ndarray) -> np.ndarray:
    """Overdrive an electric guitar by 20 to 50 dB, and play it through a loudspeaker.

    Unlike single distorted notes, added up, the strings of a chord distort each other.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    audio : np.ndarray, shape (frames, 2)
        A clean guitar.

    Returns
    -------
    np.ndarray, shape (frames, 2)
    """
    from scipy import signal

    def filtered(y: np.ndarray, edges: float | tuple[float, float], kind: str) -> np.ndarray:
        return signal.sosfilt(signal.butter(1, edges, kind, fs=RATE, output="sos"), y, axis=0)

    drive = 10 ** (rng.uniform(20, 50) / 20) / max(np.abs(audio).max(), MIN_RMS)
    audio = filtered(audio, np.exp(rng.uniform(*np.log((80, 800)))), "highpass")
    # At four times the rate, lest harmonics beyond half the rate are folded back.
    audio = signal.resample_poly(np.tanh(drive * signal.resample_poly(audio, 4, 1)), 1, 4)
    low, high = rng.uniform(60, 150), np.exp(rng.uniform(*np.log((3000, 8000))))
    audio = filtered(filtered(audio, (low, high), "bandpass"), high, "lowpass")
    return audio + rng.uniform(0, 3) * filtered(audio, (1500, 4000), "bandpass")


def gestured(
    rng: np.random.Generator, line: Line, instrument: music.Instrument, seconds: float
) -> tuple[Line, Gesture]:
    """Draw how a lead is played: the notes that are struck, and how pitch and loudness move.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    line : Line
        As composed.
    instrument : Instrument
        What plays it.
    seconds : float
        Length.

    Returns
    -------
    line : Line
        As it is struck: slurred notes are one.
    gesture : Gesture
    """
    bends = []
    if not instrument.polyphonic and rng.random() < SLURS:
        notes, bends = music.slurred(rng, line.notes)
        line = line._replace(notes=notes)
    holds = not instrument.polyphonic or line.program in ELECTRIC_ORGANS
    return line, music.draw_gesture(rng, line.notes, seconds, holds=holds, bends=bends)


def play(
    rng: np.random.Generator, recording: Recording, soundfont: bytes | Path
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Render each lead as a stem; the accompaniment, too, but for its distorted guitars.

    The stems, arrays (clips * frames, 2), share key, chords, tempo and room, and have any level.

    Parameters
    ----------
    rng : np.random.Generator
        Makes the random choices.
    recording : Recording
        What to play.
    soundfont : bytes or Path
        As `render` takes it.

    Returns
    -------
    leads, accompaniment : list of np.ndarray, shape (clips * frames, 2)
        Of the accompaniment: none, one, or one and distorted guitars.
    """
    skip, frames = round(LEAD_IN * RATE), len(recording.paths) * recording.frames
    song = music.draw_song(rng, (skip + frames) / RATE)
    reverb = int(rng.integers(70))
    instruments = [music.INSTRUMENTS[label] for label in recording.labels]
    expressive = recording.expressive

    def heard(stem: list[Line], pan: int = 64, gesture: Gesture | None = None) -> np.ndarray:
        driven = expressive and stem[0].program in music.DISTORTED and rng.random() < AMPLIFIED
        stem = music.unamplified(stem[0]) if driven else stem
        midi = to_midi(stem, song.seconds, reverb, pan, gesture)
        played = render(midi, soundfont, skip + frames, {line.program for line in stem})[skip:]
        return amplified(rng, played) if driven else played

    if recording.labels == (NOTHING,):
        kind = str(rng.choice([*nothing.KINDS], p=[*nothing.KINDS.values()]))
        if kind in nothing.GENERATED:
            y = nothing.GENERATED[kind](rng, frames, RATE)
            return [np.repeat(y[:, None], 2, axis=1)], []
        if kind == "drums":
            beat = str(rng.choice([*music.DRUM_BEATS, "drawn"]))
            hits = music.percussion(rng, song) if beat == "drawn" else music.drums(rng, song, beat)
            return [heard([Line(None, hits)])], []
    lines = []
    for i in instruments:
        program = int(rng.choice(i.programs + i.more if expressive else i.programs))
        i = music.widened(rng, i, program) if expressive else i
        if expressive and program in music.DISTORTED and rng.random() < RIFFS:
            lines.append(Line(program, music.power_chords(rng, song)))
        else:
            lines.append(Line(program, music.lead(rng, song, i, expressive=expressive)))
    if len(lines) > 1 and rng.random() < 0.5:
        lines = music.take_turns(lines, song.seconds / len(lines) / rng.integers(1, 3))
    pans = [int(rng.integers(34, 95)) for _ in lines]
    band = []
    if recording.style != "alone":
        band = music.backing(rng, song, recording.style, recording.drums, recording.labels)
    leads = []
    for label, instrument, line, pan in zip(
        recording.labels, instruments, lines, pans, strict=True
    ):
        if not expressive:
            leads.append(heard([line], pan))
        elif label == "voi" and rng.random() < SUNG:
            sung = voice.sing(rng, line.notes, song.seconds, RATE)
            sung = voice.room(rng, sung, RATE) if rng.random() < 0.7 else sung
            leads.append(np.repeat(sung[:, None], 2, axis=1)[skip : skip + frames])
        else:
            struck, gesture = gestured(rng, line, instrument, song.seconds)
            leads.append(heard([struck], pan, gesture))
    guitars = [line for line in band if line.program in music.DISTORTED]
    others = [line for line in band if line.program not in music.DISTORTED]
    return leads, [heard(stem) for stem in (others, guitars) if stem]
