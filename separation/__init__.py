"""The two source separations of the thesis (section 4.2), as pure functions.

Audio has librosa's shape: (n,), (channels, n) or more leading axes, at any sampling rate in Hz.
Both functions return two arrays of the input's shape that add up to the input.
"""

from separation.harmonic_percussive import harmonic_percussive
from separation.melody import melody
from separation.solo_accompaniment import solo_accompaniment
from separation.spectral import in_blocks

VERSION = 1  # of the results: raise it when the same audio separates differently

__all__ = ["VERSION", "harmonic_percussive", "in_blocks", "melody", "solo_accompaniment"]
