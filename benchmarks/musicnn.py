"""musicnn (Pons and Serra, 2019; ISC licence), trained on real music: a network to compare with.

Its weights lie in its wheel, which pip refuses to install on today's Python:
`pip download musicnn --no-deps --ignore-requires-python` fetches it. Variables are read from the
checkpoint by name; the network is reimplemented from the paper and the package's models.py.
"""

import zipfile
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import tensorflow as tf

from instrec.data import audio
from instrec.errors import InputError

RATE, FFT, HOP, BANDS, FRAMES = 16000, 512, 256, 96, 187  # 3 s
# Outputs, which are tags of MagnaTagATune, that stand for a label; guitars are one.
TAGS = {
    "cel": (43,),
    "flu": (25,),
    "gac": (0,),
    "pia": (9,),
    "vio": (12,),
    "voi": (13, 15, 18, 19, 20, 26, 27, 33, 36, 39, 40, 48),
}


class Musicnn:
    """The network MTT_musicnn.

    Parameters
    ----------
    wheel : Path
        The wheel of the package.
    folder : Path
        Where its weights are unpacked.
    """

    def __init__(self, wheel: Path, folder: Path) -> None:
        if not wheel.is_file():
            raise InputError(f"expected the wheel of musicnn, found nothing: {wheel}")
        with zipfile.ZipFile(wheel) as archive:
            for ending in (".index", ".data-00000-of-00001"):
                content = archive.read(f"musicnn/MTT_musicnn/{ending}")
                (folder / f"weights{ending}").write_bytes(content)
        file = tf.train.load_checkpoint(str(folder / "weights"))
        self._weights = {name: file.get_tensor(name) for name in file.get_variable_to_shape_map()}

    def strengths(self, path: Path) -> pd.Series:
        """Return the strongest tag of each label it knows, averaged over the recording.

        Parameters
        ----------
        path : Path
            Audio file; one shorter than three seconds is repeated.

        Returns
        -------
        pandas.Series
            By label of `TAGS`, from 0 to 1.
        """
        y = audio.load_audio(path, RATE)
        y = np.tile(y, -(-FRAMES * HOP // len(y)))
        mel = librosa.feature.melspectrogram(y=y, sr=RATE, n_fft=FFT, hop_length=HOP, n_mels=BANDS)
        x = np.log10(10000 * mel.T + 1).astype(np.float32)
        starts = range(0, len(x) - FRAMES + 1, FRAMES // 3)
        outputs = self.outputs(np.stack([x[i : i + FRAMES] for i in starts])).mean(axis=0)
        return pd.Series({label: outputs[list(tags)].max() for label, tags in TAGS.items()})

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return the 50 tags of patches [patches x frames x bands], from 0 to 1."""
        x = self._normalised(x[..., None], 0)
        padded = tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]])
        front = [self._convolved(padded, number, "VALID") for number in (0, 1)]
        front += [self._convolved(x, number, "SAME") for number in (2, 3, 4)]
        layers = [tf.concat([tf.reduce_max(y, 2) for y in front], 2)[..., None]]
        for number in (5, 6, 7):
            padded = tf.pad(layers[-1], [[0, 0], [3, 3], [0, 0], [0, 0]])
            new = tf.transpose(self._convolved(padded, number, "VALID"), [0, 1, 3, 2])
            layers.append(new if number == 5 else new + layers[-1])
        features = tf.concat(layers, 2)
        pooled = tf.concat([tf.reduce_max(features, 1), tf.reduce_mean(features, 1)], 2)
        pooled = self._normalised(tf.reshape(pooled, [len(x), -1]), 9)
        hidden = tf.nn.relu(pooled @ self._weights["dense/kernel"] + self._weights["dense/bias"])
        hidden = self._normalised(hidden, 10)
        logits = hidden @ self._weights["dense_1/kernel"] + self._weights["dense_1/bias"]
        return tf.sigmoid(logits).numpy()

    def _convolved(self, x: np.ndarray, number: int, padding: str):  # noqa: ANN202
        name = f"conv2d_{number}" if number else "conv2d"
        y = tf.nn.conv2d(x, self._weights[f"{name}/kernel"], 1, padding)
        return self._normalised(tf.nn.relu(y + self._weights[f"{name}/bias"]), number + 1)

    def _normalised(self, x: np.ndarray, number: int):  # noqa: ANN202
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        mean, variance, beta, gamma = (
            self._weights[f"{name}/{part}"]
            for part in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
