"""Every parameter, path and data set of instRecCnn: edit this file per experiment.

Parameters follow Han et al. 2017 and have the names used in the documentation. Importing this
module asks nothing, prints nothing and loads nothing heavy. Every annotated variable here is a
parameter, and a field of `instrec.config.Config`.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from instrec.errors import InputError, is_plain_name

# --- the experiment -------------------------------------------------------------------------------
# None leaves the choice to the scripts' options -d, -m and -o. A file in experiments/ can set any
# parameter here for one experiment: give it to a step or a plot as -x NAME.
dataset: int | None = None  # an id of DATA_SETS below
model: str | None = None  # a network in models/, or a trained model by its name
optimizer: str | None = None  # 'adam' or 'sgd'
name: str = ""  # of the trained model, to tell a variant from its network's plain model

# --- features (thesis 4.1.1) --------------------------------------------------------------------
sample_rate: int = 22050  # Hz
stft_window: int = 1024  # samples, part of the result key; 2048 is the variant of thesis 5.5.1
n_fft: int = 2048  # samples to which a shorter window is zero-padded; 2048 is librosa's default,
# which the published script uses; with 1024, log-mel values differ by 0.7 on average
hop_length: int = 512  # samples
num_mel_bands: int = 128
time_duration: float = 1  # seconds per patch
test_overlap: float = 0.5  # of test patches, 0 or more and below 1; training patches never overlap

# --- splits (thesis 5.1.5) ------------------------------------------------------------------------
val_split: float = 0.85  # share of the training data that trains; the rest validates
split_by: str = "patch"  # 'patch' as published, 'file', or 'recording', which leaks nothing
# What stays together when the test data are halved: 'clip', 'patch' (nothing, as published) or
# 'song', which leaks nothing. Results of the last two are named halved_by_patch_<model name> etc.
halve_by: str = "clip"
balanced: bool = True  # both sides keep the proportions of the labels; False splits at random
seed: int = 0  # of every split and every training run

# --- training (thesis 4.1.3) --------------------------------------------------------------------
nb_epochs: int = 400  # at most
batch_size: int = 128  # patches
learning_rate: float = 0.001
alpha: float = 0.33  # slope of the leaky ReLU below zero
patience: int = 5  # epochs without a lower validation loss before training stops
class_weight: str = "n"  # 'y' weights classes by the inverse of their number of patches
standardise: bool = False  # by mean and standard deviation of training patches (thesis 5.5.2)
schedule: str = "constant"  # or 'cosine': the rate rises for 5 % of nb_epochs, then falls to 0
augmentation: str = ""  # effects from instrec/learning/augmentation.py, such as 'room noise'
iter_num: int = 3  # trainings from different random weights; results are averaged over them
precision: str = "float32"  # or 'mixed_bfloat16': faster on processors that support bfloat16
ensemble: bool = False  # average the trainings' outputs, not their results (Han et al. 2017)

# --- transfer learning (thesis 5.9) ---------------------------------------------------------------
transfer_from: str = ""  # start from '<result key>/<model name>.<optimizer>', or from 'pretrained'
transfer_passes: int = 1  # 1: train a new output layer, the rest frozen; 2: then train all layers
transfer_learning_rate: float = 0.01  # of the first pass; the second uses learning_rate
# Activation of the new output layer; or 'softmax'; or 'kept': the old one, for the same labels, and
# all layers train at once.
transfer_output: str = "sigmoid"

# The values that some of them allow.
AUGMENTATIONS = ("room", "start", "mix", "colour", "noise", "pitch", "contrast")
OPTIMIZERS = ("adam", "sgd")
CHOICES = {
    "optimizer": (None, *OPTIMIZERS),
    "split_by": ("patch", "file", "recording"),
    "halve_by": ("patch", "clip", "song"),
    "class_weight": ("y", "n"),
    "schedule": ("constant", "cosine"),
    "precision": ("float32", "mixed_bfloat16"),
    "transfer_passes": (1, 2),
    "transfer_output": ("sigmoid", "softmax", "kept"),
}

# --- paths --------------------------------------------------------------------------------------
# One row per platform, chosen by platform.system(); environment variables override the paths.
ROOT = Path(__file__).resolve().parent
_PATHS = {  # platform: (audio, metadata and tensors, trained models)
    "Linux": (ROOT / "data", ROOT / "features", ROOT / "models"),
    "Darwin": (ROOT / "data", ROOT / "features", ROOT / "models"),
    "Windows": (ROOT / "data", ROOT / "features", ROOT / "models"),
}
_data, _features, _models = _PATHS.get(platform.system(), _PATHS["Linux"])
DATA_PATH = Path(os.environ.get("INSTREC_DATA_PATH") or _data).absolute()
FEATURE_PATH = Path(os.environ.get("INSTREC_FEATURE_PATH") or _features).absolute()
MODELS_ROOT = Path(os.environ.get("INSTREC_MODEL_PATH") or _models).absolute()

# --- workers ------------------------------------------------------------------------------------
# Address of a Dask scheduler, such as 'tcp://node1:8786', whose workers render, separate, extract
# and recognise (docs/cluster.md). None: this machine does. Results are identical, bit for bit.
SCHEDULER = os.environ.get("INSTREC_SCHEDULER") or None

# --- label sets; alphabetical, which is the order of the network's outputs -----------------------
NOTHING = "none"  # label of clips with none of the instruments, in the data set Rendered
IRMAS = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")
IRMAS_WIND = ("cla", "flu", "sax", "tru")
MONOTIMBRAL = (
    *("acg", "cla", "dob", "egc", "egd", "epi", "flu", "hor"),
    *("pia", "sax", "svf", "svm", "syn", "tru", "vio"),
)
JAZZ = ("as", "cl", "ss", "tb", "tp", "ts")
# Full names, for figures and tables on the screen; files keep the labels.
LABEL_NAMES = {
    "acg": "acoustic guitar",
    "as": "alto saxophone",
    "cel": "cello",
    "cl": "clarinet",
    "cla": "clarinet",
    "dob": "double bass",
    "egc": "electric guitar, clean",
    "egd": "electric guitar, distorted",
    "epi": "electric piano",
    "flu": "flute",
    "gac": "acoustic guitar",
    "gel": "electric guitar",
    "hor": "Hammond organ",
    NOTHING: "none of them",
    "org": "organ",
    "pia": "piano",
    "sax": "saxophone",
    "ss": "soprano saxophone",
    "svf": "singing, female",
    "svm": "singing, male",
    "syn": "synthesiser",
    "tb": "trombone",
    "tp": "trumpet",
    "tru": "trumpet",
    "ts": "tenor saxophone",
    "vio": "violin",
    "voi": "singing",
}


@dataclass(frozen=True)
class DataSet:
    """A data set: its name, where its audio lies and what its labels are.

    Parameters
    ----------
    name : str
        Short name; the result key is the name and the STFT window, such as `irmas_1024`.
    title : str
        What the menu shows.
    labels : tuple of str
        Label names in alphabetical order.
    folders : tuple of str
        Audio folders below `DATA_PATH`: one for each input of the network.
    layout : {'irmas', 'folders'}
        `'irmas'`: `IRMAS-TrainingData/<label>/`, and test clips anywhere below
        `IRMAS-TestingData*/`, each with a `.txt` of labels beside it. `'folders'`: `<label>/`, to
        be halved into train and test.
    source : str, optional
        For separated audio, the folder of the original audio; its split is kept.
    channels : {1, 3}
        3 stacks spectrograms of one, two and four times the STFT window (thesis 5.6.3).
    model : str, optional
        The one network that fits the data set, if it needs a special one.
    test_files : int, optional
        With `layout='folders'`, test files per label, drawn at random; all others train. By
        default, and for a label with fewer than twice as many files, half of its files.
    test_overlap : float, optional
        Overlap of its test patches, if not `test_overlap` above.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    folders: tuple[str, ...]
    layout: str
    source: str | None = None
    channels: int = 1
    model: str | None = None
    test_files: int | None = None
    test_overlap: float | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that the scripts cannot handle."""
        names = (self.name, *self.labels, *self.folders, self.source or self.name)
        for right, expected in (
            (isinstance(self.labels, tuple), "labels to be a tuple, as ('a', 'b') or ('a',)"),
            (isinstance(self.folders, tuple), "folders to be a tuple, as ('a', 'b') or ('a',)"),
            (not any(";" in str(label) for label in self.labels), "labels without ';'"),
            (list(self.labels) == sorted(set(self.labels)), "labels in alphabetical order"),
            (all(map(is_plain_name, names)), "names and labels that are file names"),
            (self.layout in ("irmas", "folders"), "layout 'irmas' or 'folders'"),
            (len(self.folders) in (1, 2), "one or two folders"),
            (self.channels in (1, 3), "1 or 3 channels"),
            (self.test_files is None or self.test_files > 0, "1 or more test files per label"),
            (0 <= (self.test_overlap or 0) < 1, "a test overlap of 0 or more and below 1"),
        ):
            if not right:
                raise InputError(f"settings.py, data set {self.name!r}: expected {expected}")

    def key(self, window: int) -> str:
        """Return the result key for an STFT window, such as `irmas_1024`.

        Parameters
        ----------
        window : int
            Length of the STFT window in samples.

        Returns
        -------
        str
        """
        return f"{self.name}_{window}"

    @property
    def root(self) -> str:
        """Folder of the original audio: the source, if the data set is separated audio."""
        return self.source or self.folders[0]

    @property
    def multi_label_test(self) -> bool:
        """Whether a test clip can have several labels (thesis 5.1)."""
        return self.layout == "irmas"


# --- the data sets: add your own with one entry, nothing else needs an edit ----------------------
JAZZ_TEST = {"test_files": 8, "test_overlap": 0.0}  # thesis 5.1.5
MULTI_RES = {"channels": 3, "model": "model_multi_res"}
HARM_PERC = {"model": "model_two_branch"}
DATA_SETS = {
    -2: DataSet(
        "jazz_solo", "Jazz-Solo", JAZZ, ("jazz_solo",), "folders", source="jazz_db", **JAZZ_TEST
    ),
    -1: DataSet("jazz_db", "JazzDB", JAZZ, ("jazz_db",), "folders", **JAZZ_TEST),
    0: DataSet("irmas_multi_res", "IRMAS Multires", IRMAS, ("irmas",), "irmas", **MULTI_RES),
    1: DataSet("irmas", "IRMAS", IRMAS, ("irmas",), "irmas"),
    2: DataSet("youtube", "Monotimbral", MONOTIMBRAL, ("youtube",), "folders"),
    3: DataSet("irmas_harm", "IRMAS Harm", IRMAS, ("irmas_harm",), "irmas", source="irmas"),
    4: DataSet(
        "youtube_harm", "Monotimbral Harm", MONOTIMBRAL, ("youtube_harm",), "folders", "youtube"
    ),
    5: DataSet(
        "youtube_perc", "Monotimbral Perc", MONOTIMBRAL, ("youtube_perc",), "folders", "youtube"
    ),
    6: DataSet(
        "irmas_wind_solo", "IRMAS Wind Solo", IRMAS_WIND, ("irmas_wind_solo",), "irmas", "irmas"
    ),
    7: DataSet("irmas_wind", "IRMAS Wind", IRMAS_WIND, ("irmas",), "irmas"),
    8: DataSet(
        "irmas_harm_perc",
        "IRMAS Harm-Perc",
        IRMAS,
        ("irmas_harm", "irmas_perc"),
        "irmas",
        source="irmas",
        **HARM_PERC,
    ),
    9: DataSet(
        "youtube_harm_perc",
        "Monotimbral Harm-Perc",
        MONOTIMBRAL,
        ("youtube_harm", "youtube_perc"),
        "folders",
        source="youtube",
        **HARM_PERC,
    ),
    # Not in the documentation: rendered with several SoundFonts, to recognise recordings.
    10: DataSet("rendered", "Rendered", tuple(sorted((*IRMAS, NOTHING))), ("rendered",), "irmas"),
    # Monotimbral in three resolutions (thesis 5.6.3), and the percussive part of IRMAS (the paper).
    11: DataSet(
        "youtube_multi_res",
        "Monotimbral Multires",
        MONOTIMBRAL,
        ("youtube",),
        "folders",
        **MULTI_RES,
    ),
    12: DataSet("irmas_perc", "IRMAS Perc", IRMAS, ("irmas_perc",), "irmas", source="irmas"),
}

if len({data_set.name for data_set in DATA_SETS.values()}) < len(DATA_SETS):
    raise InputError("settings.py: expected a name of its own for every data set")


def __getattr__(name: str) -> Path | int:
    """Compute MODEL_PATH and nb_classes whenever they are read: they follow the data set above."""
    if name not in ("MODEL_PATH", "nb_classes"):
        raise AttributeError(f"settings.py has no parameter {name!r}")
    if dataset not in DATA_SETS:
        raise AttributeError(f"{name} depends on the data set: set `dataset` in settings.py")
    row = DATA_SETS[dataset]
    return len(row.labels) if name == "nb_classes" else MODELS_ROOT / row.key(stft_window)
