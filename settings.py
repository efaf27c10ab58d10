"""Every parameter, path and data set of instRecCnn: edit this file per experiment.

Parameters follow Han et al. 2017 and carry the names of the documentation. Importing this module
asks nothing, prints nothing and loads nothing heavy.
"""

import contextlib
import difflib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from instrec.errors import InputError, is_plain_name

# --- the experiment -------------------------------------------------------------------------------
# None: the scripts' options -d, -m and -o say it. A file in experiments/ sets any of the parameters
# here for one experiment: every script takes it as -x NAME.
dataset = None  # an id of DATA_SETS below
model = None  # a network in models/, or a trained model by its name
optimizer = None  # 'adam' or 'sgd'
name = ""  # of the trained model, where it is a variant that lies beside its network's plain one

# --- features (thesis 4.1.1) --------------------------------------------------------------------
sample_rate = 22050  # Hz
stft_window = 1024  # samples; 2048 is the variant of thesis 5.5.1. It is part of the result key
hop_length = 512  # samples
num_mel_bands = 128
time_duration = 1  # seconds a patch
test_overlap = 0.5  # overlap of test patches, 0 <= test_overlap < 1; training patches never overlap

# --- splits (thesis 5.2) ------------------------------------------------------------------------
val_split = 0.85  # share of the training data that trains; the rest validates
split_by = "patch"  # 'patch' as published, or 'file' or 'recording', which leak nothing
balanced = True  # whether training and validation keep the shares of the labels, or by chance
seed = 0  # of every split and every training run

# --- training (thesis 4.1.3) --------------------------------------------------------------------
nb_epochs = 400  # at most
batch_size = 128  # patches
learning_rate = 0.001
alpha = 0.33  # slope of the leaky ReLU below zero
patience = 5  # epochs without a better validation loss before training stops
class_weight = "n"  # 'y' weights the classes by their number of patches
standardise = False  # by mean and deviation of the training patches (thesis 5.5.2)
schedule = "constant"  # of the learning rate, or 'cosine': up in 5 % of nb_epochs, then down to 0
augmentation = ""  # names of instrec/learning/augmentation.py, such as 'room noise'
iter_num = 3  # runs from different random weights; results are averaged over them
ensemble = False  # whether evaluation averages the outputs of the runs instead (Han et al. 2017)

# --- transfer learning (thesis 5.9) ---------------------------------------------------------------
transfer_from = ""  # trained model to start from: '<result key>/<model name>.<optimizer>'
transfer_passes = 1  # 1: a new output layer learns, all else is frozen; 2: then everything learns
transfer_learning_rate = 0.01  # of the first pass; the second takes learning_rate
transfer_output = "sigmoid"  # of the new output layer, or 'softmax'

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "cosine")
# Types that the defaults above do not tell.
_TYPES = {"dataset": int, "model": str, "optimizer": str, "time_duration": float}

# --- paths --------------------------------------------------------------------------------------
# One row a platform, chosen by platform.system(); an environment variable overrides a path.
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
# MODEL_PATH, MODELS_ROOT plus the key of the chosen data set, is computed at the end of this file.

# --- workers ------------------------------------------------------------------------------------
# Address of a Dask scheduler, such as 'tcp://node1:8786': its workers render, separate, extract and
# recognise (docs/cluster.md). None: this machine does. Results are the same, bit by bit.
_scheduler = None
SCHEDULER = os.environ.get("INSTREC_SCHEDULER") or _scheduler  # the variable overrides it

# --- label sets; alphabetical, which is the order of the network's outputs -----------------------
IRMAS = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")
IRMAS_WIND = ("cla", "flu", "sax", "tru")
MONOTIMBRAL = (
    *("acg", "cla", "dob", "egc", "egd", "epi", "flu", "hor"),
    *("pia", "sax", "svf", "svm", "syn", "tru", "vio"),
)
JAZZ = ("as", "cl", "ss", "tb", "tp", "ts")


@dataclass(frozen=True)
class DataSet:
    """A data set: what it is called, where its audio lies and what its labels are.

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
        `'irmas'`: `IRMAS-TrainingData/<label>/` and `IRMAS-TestingData-Part*/Part*/`, a `.txt` of
        labels beside each test clip. `'folders'`: `<label>/`, to be halved into train and test.
    source : str, optional
        For separated audio, the folder of the audio it was separated from; its split is kept.
    channels : {1, 3}
        3 stacks spectrograms of one, two and four times the STFT window (thesis 5.6.3).
    model : str, optional
        The one network that fits the data set, if it needs a special one.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    folders: tuple[str, ...]
    layout: str
    source: str | None = None
    channels: int = 1
    model: str | None = None

    def __post_init__(self) -> None:
        """Refuse an entry that the scripts could not follow."""
        for right, expected in (
            (list(self.labels) == sorted(set(self.labels)), "labels in alphabetical order"),
            (all(map(is_plain_name, self._of_paths())), "names and labels that are file names"),
            (self.layout in ("irmas", "folders"), "layout 'irmas' or 'folders'"),
            (len(self.folders) in (1, 2), "one or two folders"),
            (self.channels in (1, 3), "1 or 3 channels"),
        ):
            if not right:
                raise InputError(f"settings.py, data set {self.name!r}: expected {expected}")

    def _of_paths(self) -> tuple[str, ...]:
        source = () if self.source is None else (self.source,)
        return (self.name, *self.labels, *self.folders, *source)

    @property
    def key(self) -> str:
        """Result key, such as `irmas_1024`."""
        return f"{self.name}_{stft_window}"

    @property
    def root(self) -> str:
        """Audio folder that it is made from in the end: the source, if it is separated audio."""
        return self.source or self.folders[0]

    @property
    def multi_label_test(self) -> bool:
        """Whether a test clip can have several labels (thesis 5.1)."""
        return self.layout == "irmas"

    @property
    def windows(self) -> tuple[int, ...]:
        """STFT windows in samples, one a channel."""
        return tuple(stft_window * 2**i for i in range(self.channels))

    @property
    def feature_path(self) -> Path:
        """Folder of the metadata and tensors."""
        return FEATURE_PATH / self.key

    @property
    def model_path(self) -> Path:
        """Folder of the trained models and their results."""
        return MODELS_ROOT / self.key


# --- the data sets: add your own with one entry, nothing else needs an edit ----------------------
DATA_SETS = {
    -2: DataSet("jazz_solo", "Jazz-Solo", JAZZ, ("jazz_solo",), "folders", source="jazz_db"),
    -1: DataSet("jazz_db", "JazzDB", JAZZ, ("jazz_db",), "folders"),
    0: DataSet(
        "irmas_multi_res",
        "IRMAS Multires",
        IRMAS,
        ("irmas",),
        "irmas",
        channels=3,
        model="model_multi_res",
    ),
    1: DataSet("irmas", "IRMAS", IRMAS, ("irmas",), "irmas"),
    2: DataSet("youtube", "Monotimbral", MONOTIMBRAL, ("youtube",), "folders"),
    3: DataSet("irmas_harm", "IRMAS Harm", IRMAS, ("irmas_harm",), "irmas", source="irmas"),
    4: DataSet(
        "youtube_harm",
        "Monotimbral Harm",
        MONOTIMBRAL,
        ("youtube_harm",),
        "folders",
        source="youtube",
    ),
    5: DataSet(
        "youtube_perc",
        "Monotimbral Perc",
        MONOTIMBRAL,
        ("youtube_perc",),
        "folders",
        source="youtube",
    ),
    6: DataSet(
        "irmas_wind_solo",
        "IRMAS Wind Solo",
        IRMAS_WIND,
        ("irmas_wind_solo",),
        "irmas",
        source="irmas",
    ),
    7: DataSet("irmas_wind", "IRMAS Wind", IRMAS_WIND, ("irmas",), "irmas"),
    8: DataSet(
        "irmas_harm_perc",
        "IRMAS Harm-Perc",
        IRMAS,
        ("irmas_harm", "irmas_perc"),
        "irmas",
        source="irmas",
        model="model_two_branch",
    ),
    9: DataSet(
        "youtube_harm_perc",
        "Monotimbral Harm-Perc",
        MONOTIMBRAL,
        ("youtube_harm", "youtube_perc"),
        "folders",
        source="youtube",
        model="model_two_branch",
    ),
    # Not of the documentation: rendered by several SoundFonts, to recognise recordings with.
    10: DataSet("rendered", "Rendered", IRMAS, ("rendered",), "irmas"),
}


# --- derived: nothing to edit below ---------------------------------------------------------------
def selected() -> DataSet:
    """Return the data set that `dataset` names.

    Raises
    ------
    InputError
        If no data set, or none that exists, is chosen.
    """
    if dataset not in DATA_SETS:
        ids = ", ".join(str(id_) for id_ in DATA_SETS)
        raise InputError(
            f"no data set is chosen: expected one of {ids}, found {dataset!r}; "
            "give the script -d ID, or set `dataset` in settings.py"
        )
    check()
    return DATA_SETS[dataset]


def check(source: str = "settings.py") -> None:
    """Refuse parameters out of range.

    Parameters
    ----------
    source : str
        Where they come from, for the message.

    Raises
    ------
    InputError
        Naming the parameter, what is expected and what was found.
    """
    from instrec.data.splits import SPLIT_BY
    from instrec.learning import augmentation as augmenting  # deferred: it takes numpy

    counts = "sample_rate stft_window hop_length num_mel_bands nb_epochs batch_size iter_num"
    rules = {
        **dict.fromkeys(
            counts.split(), ("a whole number above 0", lambda x: x > 0 and x == int(x))
        ),
        "patience": ("0 or more", lambda x: x >= 0),
        # Keras takes 32 bits, and each run adds its number.
        "seed": ("a whole number from 0 to 2**31", lambda x: 0 <= x <= 2**31 and x == int(x)),
        "time_duration": (
            "seconds of one frame or more",
            lambda x: hop_length <= x * sample_rate < float("inf"),
        ),
        "test_overlap": ("0 or more and below 1", lambda x: 0 <= x < 1),
        "val_split": ("a share between 0 and 1", lambda x: 0 < x < 1),
        **dict.fromkeys(
            ("learning_rate", "transfer_learning_rate"), ("0 or more", lambda x: x >= 0)
        ),
        **{
            name: (f"one of {among}", lambda x, among=among: x in among)
            for name, among in (
                ("optimizer", (None, *OPTIMIZERS)),
                ("split_by", SPLIT_BY),
                ("class_weight", ("y", "n")),
                ("schedule", SCHEDULES),
                ("transfer_passes", (1, 2)),
                ("transfer_output", ("sigmoid", "softmax")),
                *((flag, (True, False)) for flag in ("balanced", "standardise", "ensemble")),
            )
        },
    }
    for name, (expected, is_right) in rules.items():
        if not is_right(globals()[name]):
            raise InputError(
                f"{source}: expected {name} to be {expected}, found {globals()[name]!r}"
            )
    try:
        augmenting.check(augmentation)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    names = [data_set.name for data_set in DATA_SETS.values()]
    if len(set(names)) < len(names):
        raise InputError("settings.py: expected a name of its own for every data set")


def parameters() -> dict[str, Any]:
    """Return every parameter at the top of this file by its name, as a record keeps them."""
    plain = (bool, int, float, str, type(None))
    return {
        name: value
        for name, value in globals().items()
        if name.islower() and not name.startswith("_") and type(value) in plain
    }


def override(values: Mapping[str, Any], source: str) -> None:
    """Set parameters, as an experiment does.

    Parameters
    ----------
    values : mapping of str to object
        Parameters by name.
    source : str
        Where they come from, for messages.

    Raises
    ------
    InputError
        If a name is unknown, or a value of another type than it has in this file or out of range.
    """
    known = parameters()
    for name, value in values.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{source}: settings.py has no parameter {name!r}{hint}")
        expected = _TYPES.get(name, type(known[name]))
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise InputError(
                f"{source}: expected {name} to be of type {expected.__name__}, found {value!r}"
            )
    globals().update(values)
    check(source)


@contextlib.contextmanager
def overridden(values: Mapping[str, Any], source: str) -> Iterator[None]:
    """Set parameters within a block only; else as `override`."""
    before = parameters()
    try:
        override(values, source)
        yield
    finally:
        globals().update(before)


@contextlib.contextmanager
def located(folder: Path) -> Iterator[None]:
    """Within a block, let all paths lead below a folder: to data, features and models in it."""
    places = {"DATA_PATH": "data", "FEATURE_PATH": "features", "MODELS_ROOT": "models"}
    before = {name: globals()[name] for name in places}
    try:
        globals().update({name: folder / place for name, place in places.items()})
        yield
    finally:
        globals().update(before)


# Computed whenever they are read, so that they always follow the parameters above.
_DERIVED = {
    "patch_frames": lambda: int(time_duration * sample_rate / hop_length),
    "test_step": lambda: max(1, int(__getattr__("patch_frames") * (1 - test_overlap))),
    "nb_classes": lambda: {id_: len(data_set.labels) for id_, data_set in DATA_SETS.items()},
    "MODEL_PATH": lambda: selected().model_path,
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _DERIVED:
        raise AttributeError(f"settings.py has no parameter {name!r}")
    return _DERIVED[name]()
