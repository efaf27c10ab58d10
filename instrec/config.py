"""The parameters of settings.py for one run: checked, frozen and passed on.

Users edit `settings.py`. A documented class reads it as a `Config`, once, when it is constructed;
experiments and command-line options make a changed copy. Nothing else takes their
values from `settings`, and nothing changes it.
"""

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import settings
from instrec.errors import InputError, did_you_mean, is_plain_name
from settings import DATA_SETS, DataSet

# Prefixes of the results that lie beside a model's own.
ENSEMBLE = "ensemble_"
HALVED_BY = {"patch": "halved_by_patch_", "clip": "", "song": "halved_by_song_"}
RESULT_PREFIXES = (ENSEMBLE, HALVED_BY["patch"], HALVED_BY["song"])
RESERVED = (*RESULT_PREFIXES, "figures")  # no trained model's name can start so
PLACES = ("data_path", "feature_path", "models_root", "scheduler")  # in capitals in settings.py
PRETRAINED = "rendered_1024/model_residual.adam"  # the model that comes with the code


def full_name(label: str) -> str:
    """Return the full name of a label, 'cel' -> 'cello'; the label itself if it has none.

    Parameters
    ----------
    label : str
        From a label set.

    Returns
    -------
    str
    """
    return settings.LABEL_NAMES.get(label, label)


def data_set_of(key: str) -> tuple[int | str, str]:
    """Return the id and title of the data set behind a result key, whatever the STFT window.

    Parameters
    ----------
    key : str
        Such as 'irmas_1024'.

    Returns
    -------
    (int or str, str)
        '<ID>' and the key, if settings.py has no such data set.
    """
    found = ((i, row.title) for i, row in DATA_SETS.items() if key.rpartition("_")[0] == row.name)
    return next(found, ("<ID>", key))


@dataclass(frozen=True)
class FeatureParameters:
    """How patches are made; stored with tensors and models, which are refused if it differs.

    Parameters
    ----------
    sample_rate : int
        Sampling rate in Hz.
    windows : tuple of int
        STFT windows in samples, one per channel.
    hop_length : int
        STFT hop in samples.
    num_mel_bands : int
        Mel bands.
    patch_frames : int
        Frames per patch.
    n_fft : int
        Samples to which a shorter window is zero-padded.
    """

    sample_rate: int
    windows: tuple[int, ...]
    hop_length: int
    num_mel_bands: int
    patch_frames: int
    n_fft: int = 2048

    @classmethod
    def of_recipe(cls, recipe: Mapping[str, Any]) -> "FeatureParameters":
        """Return the parameters in the recipe of a trained model.

        Parameters
        ----------
        recipe : mapping of str to object
            Of a trained model.

        Returns
        -------
        FeatureParameters
        """
        values = {field.name: recipe[field.name] for field in dataclasses.fields(cls)}
        return cls(**values | {"windows": tuple(values["windows"])})

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Shape of one patch: mel bands, frames, channels."""
        return self.num_mel_bands, self.patch_frames, len(self.windows)

    @property
    def patch_seconds(self) -> float:
        """Length of a patch in seconds."""
        return self.patch_frames * self.hop_length / self.sample_rate


# The parameters at the top of settings.py: all that are annotated there.
PARAMETERS = typing.get_type_hints(settings)
_Parameters = dataclasses.make_dataclass("_Parameters", PARAMETERS.items(), frozen=True)


@dataclass(frozen=True)
class Config(_Parameters):
    """Every parameter of settings.py by name, and what follows from them.

    Make one with `read`, or change one with `changed`; both refuse values out of range.
    """

    data_path: Path
    feature_path: Path
    models_root: Path
    scheduler: str | None
    row: DataSet | None  # from DATA_SETS, which may differ in other processes
    given: str = ""  # the options -x, with any -d beside them, for commands in messages

    def __getattr__(self, name: str) -> None:
        """Report a parameter that settings.py lacks, or has without its type."""
        if name.startswith("_"):
            raise AttributeError(name)
        raise InputError(
            f"settings.py: expected the parameter {name} with its type, such as `seed: int = 0`"
        )

    def changed(self, values: Mapping[str, Any], source: str) -> "Config":
        """Return a copy with other parameters.

        Parameters
        ----------
        values : mapping of str to object
            Parameters by name.
        source : str
            Where they come from, for the message.

        Returns
        -------
        Config

        Raises
        ------
        InputError
            If a name is unknown, or a value is of the wrong type or out of range.
        """
        check_types(values, PARAMETERS, f"{source}: settings.py has no parameter", source)
        new = dataclasses.replace(self, **values)
        new = dataclasses.replace(new, row=DATA_SETS.get(new.dataset))
        _check(new, source)
        return new

    def parameters(self) -> dict[str, Any]:
        """Return the parameters at the top of settings.py, as a record keeps them.

        Returns
        -------
        dict
            By name.
        """
        return {name: getattr(self, name) for name in PARAMETERS}

    @property
    def options(self) -> str:
        """The options that make a command use the same data, for messages."""
        return self.given or f"-d {self.dataset}"

    def command(self, script: str, model: str, optimizer: str) -> str:
        """Write a command for the same data, for messages.

        Parameters
        ----------
        script : str
            Its name, and any options of its own.
        model, optimizer : str
            Which model; an experiment has its own network.

        Returns
        -------
        str
        """
        if self.given:
            return f"python3 {script} {self.given} -o {optimizer}"
        return f"python3 {script} -m {model} -o {optimizer} {self.options}"

    @property
    def data_set(self) -> DataSet:
        """The chosen data set.

        Raises
        ------
        InputError
            If none is chosen.
        """
        if self.row is None:
            ids = ", ".join(map(str, DATA_SETS))
            raise InputError(
                f"no data set is chosen: expected one of {ids}, found {self.dataset!r}; "
                "give the script -d ID, or set `dataset` in settings.py"
            )
        return self.row

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the data set, in the order of a network's outputs."""
        return self.data_set.labels

    @property
    def key(self) -> str:
        """Result key, such as `irmas_1024`."""
        return self.data_set.key(self.stft_window)

    @property
    def features(self) -> FeatureParameters:
        """How patches of the data set are made."""
        return FeatureParameters(
            sample_rate=self.sample_rate,
            windows=tuple(self.stft_window * 2**i for i in range(self.data_set.channels)),
            hop_length=self.hop_length,
            num_mel_bands=self.num_mel_bands,
            patch_frames=self.patch_frames,
            n_fft=self.n_fft,
        )

    @property
    def patch_frames(self) -> int:
        """Frames per patch: 43 for one second."""
        return int(self.time_duration * self.sample_rate / self.hop_length)

    def step(self, part: str) -> int:
        """Return the frames from patch to patch; those of 'train' never overlap (thesis 4.1.1).

        Parameters
        ----------
        part : {'train', 'test'}
            Which part.

        Returns
        -------
        int
        """
        overlap = 0 if part == "train" else self.overlap
        return max(1, int(self.patch_frames * (1 - overlap)))

    @property
    def overlap(self) -> float:
        """Overlap of test patches: the data set's own, or else `test_overlap`."""
        own = self.row.test_overlap if self.row else None
        return self.test_overlap if own is None else own

    @property
    def feature_folder(self) -> Path:
        """Folder of the metadata and tensors of the data set."""
        return self.feature_path / self.key

    @property
    def model_folder(self) -> Path:
        """MODEL_PATH: folder of the trained models of the data set and of their results."""
        return self.models_root / self.key

    def trained_name(self, network: str, networks: tuple[str, ...] = ()) -> str:
        """Return the name of the model that is trained from a network.

        Several, as 'a+b', are names of trained models already. Otherwise it is `name`, or else the
        network's; a transferred model without a name is named after its source, too, or it would
        be mistaken for one trained from scratch.

        Parameters
        ----------
        network : str
            The network.
        networks : tuple of str
            Names that a variant cannot have.

        Returns
        -------
        str

        Raises
        ------
        InputError
            If it is not a valid name.
        """
        if "+" in network:
            return network
        name = self.name or network
        if self.transfer_from and not self.name:
            key, _, _ = parse_source(self.transfer_from)
            passes = ("one_pass", "two_passes")[self.transfer_passes - 1]
            how = {"sigmoid": passes, "softmax": f"{passes}_softmax", "kept": "kept"}
            name = f"{network}_from_{key}_{how[self.transfer_output]}"
        if name in networks and (name != network or self.transfer_from):
            raise InputError(f"{name} is the name of a network as it is: give this model another")
        if not re.fullmatch(r"\w[\w-]*", name) or name.startswith(RESERVED):
            raise InputError(
                "expected a name of letters, digits, - and _ that does not start with "
                f"{' or '.join(RESERVED)}, found {name!r}"
            )
        return name

    def result_name(self, trained: str) -> str:
        """Name the results of a trained model, or of several as 'a+b'.

        Results of averaged outputs, and of test data halved by patch or by song, have names of
        their own: one training can be scored in all these ways.

        Parameters
        ----------
        trained : str
            The trained model.

        Returns
        -------
        str
        """
        ensemble = ENSEMBLE if self.ensemble or "+" in trained else ""
        return f"{HALVED_BY[self.halve_by]}{ensemble}{trained}"


def read(**changes: Any) -> Config:  # noqa: ANN401
    """Read settings.py as it is now.

    Parameters
    ----------
    **changes
        Parameters that override those there.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If a parameter is out of range.
    """
    parameters = {name: getattr(settings, name) for name in PARAMETERS}
    places = {name: getattr(settings, name.upper()) for name in PLACES}
    config = Config(**parameters, **places, row=None)
    return config.changed(config.parameters() | changes, "settings.py")


def parse_source(source: str) -> tuple[str, str, str]:
    """Split '<result key>/<model name>.<optimizer>' into its three parts.

    'pretrained' stands for the model that comes with the code.

    Parameters
    ----------
    source : str
        A trained model, as `transfer_from` names it.

    Returns
    -------
    tuple of str
        Result key, name and optimizer.

    Raises
    ------
    InputError
        If it does not have that form.
    """
    source = PRETRAINED if source == "pretrained" else source
    found = re.fullmatch(r"([^/]+)/([^/]+)\.(\w+)", source)
    if not (found and all(map(is_plain_name, found.groups()))):
        raise InputError(
            "expected transfer_from as <result key>/<model name>.<optimizer>, such as "
            f"irmas_wind_1024/model_leaky.adam, or pretrained; found {source!r}"
        )
    return found.groups()


def check_types(
    values: Mapping[str, Any], types: Mapping[str, Any], unknown: str, source: str
) -> None:
    """Refuse values with an unknown name or of the wrong type.

    Parameters
    ----------
    values : mapping of str to object
        By name.
    types : mapping of str to type or union of types
        By name; an integer passes for a float.
    unknown : str
        Start of the message about an unknown name.
    source : str
        Where the values come from, for the message.

    Raises
    ------
    InputError
        If there is such a value.
    """
    for name, value in values.items():
        if name not in types:
            raise InputError(f"{unknown} {name!r}{did_you_mean(name, types)}")
        allowed = typing.get_args(types[name]) or (types[name],)
        if type(value) not in allowed and not (float in allowed and type(value) is int):
            expected = getattr(types[name], "__name__", types[name])
            raise InputError(f"{source}: expected {name} to be of type {expected}, found {value!r}")


def _check(config: Config, source: str) -> None:
    """Refuse parameters out of range."""
    counts = "sample_rate stft_window n_fft hop_length num_mel_bands nb_epochs batch_size iter_num"
    # name: (what is expected, a test for it)
    not_negative = ("patience", "learning_rate", "transfer_learning_rate", "alpha")
    rules = dict.fromkeys(counts.split(), ("a whole number above 0", lambda x: x > 0))
    rules |= dict.fromkeys(not_negative, ("0 or more", lambda x: 0 <= x < float("inf")))
    rules |= {
        # Keras takes 32 bits, and each training adds its number to the seed.
        "seed": ("a whole number from 0 to 2**31", lambda x: 0 <= x <= 2**31),
        "time_duration": (
            "at least one frame, in seconds",
            lambda x: config.hop_length <= x * config.sample_rate < float("inf"),
        ),
        "test_overlap": ("0 or more and below 1", lambda x: 0 <= x < 1),
        "val_split": ("a share between 0 and 1", lambda x: 0 < x < 1),
    }
    for name, among in settings.CHOICES.items():
        rules[name] = (f"one of {among}", lambda x, among=among: x in among)
    effects = set(config.augmentation.split())
    rules["augmentation"] = (
        f"names of {', '.join(settings.AUGMENTATIONS)}, with blanks between",
        lambda _: effects <= set(settings.AUGMENTATIONS),
    )
    if "mix" in effects:  # a mix has two classes
        rules["class_weight"] = ("'n' where patches are mixed", lambda x: x == "n")
    if config.transfer_output == "kept":
        rules["transfer_passes"] = ("1 where the output layer is kept", lambda x: x == 1)
    for name, (expected, is_right) in rules.items():
        value = getattr(config, name)
        if not is_right(value):
            raise InputError(f"{source}: expected {name} to be {expected}, found {value!r}")
