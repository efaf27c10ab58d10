"""Recognise a recording with an exported network: python3 example.py song.wav model.onnx"""

import json
import sys
from pathlib import Path

import librosa
import numpy as np

if len(sys.argv) != 3:
    sys.exit(__doc__)
song, network = sys.argv[1:]
about = json.loads(Path(network).with_suffix(".json").read_text())
f = about["features"]
y, rate = librosa.load(song, sr=f["sample_rate"], res_type="soxr_hq")
fft, hop, frames = f["n_fft"], f["hop_length"], f["patch_frames"]
if not y.any() or 1 + len(y) // hop < frames:
    sys.exit(f"{song} is silent, or shorter than a patch")
y /= np.abs(y).max()
spectra = [
    np.abs(librosa.stft(y, n_fft=max(fft, w), hop_length=hop, win_length=w)) for w in f["windows"]
]
mels = [librosa.feature.melspectrogram(S=s, sr=rate, n_mels=f["num_mel_bands"]) for s in spectra]
logs = np.log(np.stack(mels, axis=-1) + np.finfo(np.float32).eps).astype(np.float32)
starts = range(0, logs.shape[1] - frames + 1, about["step"])
patches = np.stack([logs[:, i : i + frames] for i in starts])
if network.endswith(".onnx"):
    import onnxruntime

    outputs = onnxruntime.InferenceSession(network).run(None, {"input_0": patches})[0]
else:
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(network).get_signature_runner()
    outputs = np.concatenate([[*run(input_0=patch[None]).values()][0] for patch in patches])
for share, label in sorted(zip(outputs.mean(axis=0), about["labels"], strict=True), reverse=True):
    print(f"{label}  {share:.3f}")
