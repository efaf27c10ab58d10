"""Work beyond one machine: a Dask scheduler and its workers as processes of their own."""

import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from conftest import (
    MODEL,
    ROOT,
    SINGLE,
    contents,
    extract,
    extract_or_die,
    make_folders,
    script_environment,
    write_tone,
)

import generate_dataset
import settings
from instrec.common import cluster as client
from instrec.common import parallel, storage
from instrec.config import read
from instrec.data import tensors
from instrec.errors import InputError
from instrec.learning import model_files, trained

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


def cluster(folder, workers=2, threads=1):
    """Start a scheduler and workers, which have other settings than this process."""
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=threads,
        dashboard_address=":0",  # any free port
        local_directory=folder,
        env=script_environment(folder / "elsewhere"),
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started.scheduler_address


@pytest.fixture
def single(paths):
    """Audio of three labels (id 21), from which others (id 23) are separated."""
    return make_folders(paths, SINGLE.labels, files=6, folder="single")


def extracted(call):
    """Fingerprints and arrays of the tensors of a data set that are made anew."""
    call("generate_dataset.py", "-d", 21, "--force")
    found = contents(read().feature_folder)
    for part in tensors.PARTS:
        record = json.loads(found.pop(f"{part}/record.json"))
        found[part] = record["fingerprint"]
    return found


def test_a_cluster_extracts_the_same_bit_by_bit(single, call, monkeypatch, address):
    settings.stft_window = 2048  # workers do not know of an experiment's settings
    call("create_encoding.py", "-d", 21)
    here = extracted(call)
    monkeypatch.setattr(settings, "SCHEDULER", address)
    assert extracted(call) == here
    assert len(here) > 8


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_worker_changes_nothing(single, call, monkeypatch, tmp_path):
    call("create_encoding.py", "-d", 21)
    here = extracted(call)
    with cluster(tmp_path) as started:
        monkeypatch.setattr(settings, "SCHEDULER", started.scheduler_address)
        monkeypatch.setattr(generate_dataset, "extract", partial(extract_or_die, once=True))
        assert extracted(call) == here
        assert (single.parent / ".killed").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_file_that_kills_every_worker_ends_the_run(single, call, refused, monkeypatch, tmp_path):
    call("create_encoding.py", "-d", 21)
    monkeypatch.setattr(generate_dataset, "extract", extract_or_die)
    at_once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with at_once, cluster(tmp_path) as started:
        monkeypatch.setattr(settings, "SCHEDULER", started.scheduler_address)
        message = refused("generate_dataset.py", "-d", 21, "--force")
    assert "a worker process was killed" in message


def test_a_cluster_separates_the_same_bit_by_bit(single, call, monkeypatch, address):
    (single / SINGLE.labels[0] / "broken.wav").write_bytes(b"no audio")
    call("separate_sources.py", "-d", 23)
    target = single.with_name("single_harm")
    here = contents(target)
    target.rename(single.with_name("local"))
    monkeypatch.setattr(settings, "SCHEDULER", address)
    call("separate_sources.py", "-d", 23)
    assert contents(target) == here
    assert len(here) == 18 + 1  # and the note; not the broken one


def test_scripts_work_on_a_cluster(paths, call, run_script, address):
    """What a script defines itself is in `__main__` there, and not on a worker."""
    render = ("render_dataset.py", "-d", 1, "--train", 1, "--test", 2, "--seed", 3)
    run_script(*render, INSTREC_SCHEDULER=address)
    there = contents(paths / "data")
    (paths / "data").rename(paths / "there")
    call(*render)
    assert contents(paths / "data") == there


def test_a_cluster_recognises_the_same(model, call, monkeypatch, address, tmp_path):
    songs = tmp_path / "songs"
    for i in range(3):
        write_tone(songs / f"{i}.wav", i, seconds=5, seed=70 + i)
    (songs / "1b.wav").write_bytes(b"no audio")
    monkeypatch.chdir(tmp_path)
    outputs = []
    for scheduler in (None, address):
        monkeypatch.setattr(settings, "SCHEDULER", scheduler)
        shown = call("predict.py", "songs", *MODEL, "-d", 21, "--json", "found.json").out
        outputs.append((shown, storage.load_json(tmp_path / "found.json", "")))
    assert outputs[0] == outputs[1]
    assert list(outputs[0][1]["files"]) == [f"songs/{i}.wav" for i in range(3)]


# --- what is refused ------------------------------------------------------------------------------
def squares(number):
    return number**2


@pytest.mark.parametrize("scheduler", ["tcp://127.0.0.1:9", "nonsense"])
def test_no_scheduler_is_an_error_that_names_it(monkeypatch, scheduler):
    monkeypatch.setattr(client, "CONNECT", 1)
    with pytest.raises(InputError, match=f"expected a Dask scheduler at {scheduler}, found none"):
        list(parallel.ordered_map(squares, [(1,)], scheduler=scheduler))


def test_without_dask_the_error_names_the_requirements(run_script):
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from instrec.common import command, parallel\n"
        "there = 'tcp://127.0.0.1:9'\n"
        "command.run(lambda: list(parallel.ordered_map(print, [(1,)], scheduler=there)))"
    )
    result = run_script("-c", code, check=False)
    assert "pip install -r requirements-cluster.txt" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_worker_that_does_not_fit_is_refused(tmp_path, monkeypatch, address):
    monkeypatch.setattr(client, "_RECIPE", client._RECIPE | {"numpy": "1.0"})
    with pytest.raises(InputError, match="runs other code or packages .*numpy: '.*', not '1.0'"):
        list(parallel.ordered_map(squares, [(1,)], scheduler=address))
    monkeypatch.undo()
    refused = pytest.raises(InputError, match="one thread each, found 2")
    with cluster(tmp_path, 1, threads=2) as threads, refused:
        list(parallel.ordered_map(squares, [(1,)], scheduler=threads.scheduler_address))
    monkeypatch.setattr(client, "CONNECT", 1)
    refused = pytest.raises(InputError, match="expected workers at .* found none")
    with cluster(tmp_path, 0) as empty, refused:
        list(parallel.ordered_map(squares, [(1,)], scheduler=empty.scheduler_address))


# --- training -------------------------------------------------------------------------------------
CODE = """
import conftest, settings
from instrec.learning import backend
from instrec.common import command
settings.augmentation = "room noise"

def main():
    backend.distribute()
    conftest.trained_on(21, epochs=3, batch=20)

command.run(main)
"""


def train_in(run_script, folder, processes, **environment):
    """Train on JAX in so many processes; return the files of the model."""
    environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"} | ENVIRONMENT
    environment["INSTREC_MODEL_PATH"] = str(folder)
    if processes > 1:
        environment["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = (
            f"127.0.0.1:{distributed.utils.open_port()}"
        )
        environment["KERAS_DISTRIBUTION_NUM_PROCESSES"] = str(processes)

    def output_of(number):
        named = environment | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)}
        return run_script("-c", CODE, **named).stdout

    with ThreadPoolExecutor(processes) as pool:
        outputs = pool.map(output_of, range(processes))
    assert ["Epoch 3/" in out for out in outputs] == [True] + [False] * (processes - 1)
    return model_files.ModelFiles(folder / "single_1024" / "model_tiny", "model_tiny", "adam")


@pytest.fixture
def tensors_of_60(paths):
    """60 patches to train and 12 to validate: two devices leave none of them out."""
    make_folders(paths, SINGLE.labels, files=16, folder="single")
    extract(21)


def test_what_processes_share_is_the_batch():
    from instrec.learning.patches import Patches

    def batches(**shared):
        inputs, rows = [np.arange(50.0).reshape(50, 1, 1, 1)], np.arange(2, 50)
        patches = Patches(
            inputs, rows, 20, targets=np.eye(50), shuffle_seed=(3,), augmentations="", **shared
        )
        return list(itertools.islice(patches.batches(), len(patches)))

    whole = batches()
    assert [len(x) for x, _ in whole] == [20, 20, 8]
    parts = [batches(devices=4, process=(number, 2)) for number in (0, 1)]
    for i in (0, 1):  # inputs, targets
        for one, *of_processes in zip(whole, *parts, strict=True):
            together = np.concatenate([part[i] for part in of_processes])
            np.testing.assert_array_equal(together, one[i])
    # Three devices leave out two of the last eight, nine all of them.
    assert [len(x) for x, _ in batches(devices=3)] == [18, 18, 6]
    assert [len(x) for x, _ in batches(devices=9)] == [18, 18]


@pytest.mark.parametrize(
    ("processes", "environment"),
    [
        (2, {}),
        pytest.param(
            1,
            {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
            marks=pytest.mark.slow,
            id="two devices of one process",
        ),
    ],
)
def test_several_train_as_one(tensors_of_60, run_script, paths, processes, environment):
    """With dropout and augmentation: what is drawn does not depend on who computes it."""
    pytest.importorskip("jax")
    one = train_in(run_script, paths / "one", 1)
    several = train_in(run_script, paths / "several", processes, **environment)
    histories = [np.load(files.history(0)) for files in (one, several)]
    for name in model_files.HISTORY_FIELDS:
        np.testing.assert_allclose(histories[1][name], histories[0][name], rtol=0, atol=1e-4)
    records = [storage.load_json(files.run_record(0), "") for files in (one, several)]
    assert [record["devices"] for record in records] == [1, 2]
    assert records[0]["recipe"] == records[1]["recipe"]
    # What JAX has trained is a model like any other.
    network = trained.load(several, 0, "").network()
    part = tensors.load(read(), "train")
    rows = np.flatnonzero(part.validation_mask(read(), settings.val_split))
    found = network.predict(part.inputs[0][rows], verbose=0).argmax(axis=1)
    assert np.mean(found == part.class_id[rows]) == pytest.approx(records[1]["best_accuracy"])


def test_processes_that_cannot_train_together(run_script):
    pytest.importorskip("jax")
    code = (
        "from instrec.common import command; from instrec.learning import backend; "
        "command.run(backend.distribute)"
    )
    environment = {"KERAS_BACKEND": "jax", "KERAS_DISTRIBUTION_JOB_ADDRESSES": "127.0.0.1:9"}
    environment["KERAS_DISTRIBUTION_NUM_PROCESSES"] = "x"
    for backend, message in (("tensorflow", "KERAS_BACKEND=jax"), ("jax", "did not find each")):
        result = run_script("-c", code, check=False, **environment | {"KERAS_BACKEND": backend})
        assert message in result.stderr and result.stderr.count("\n") == 1


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
import numpy as np
from instrec.errors import InputError
from instrec.learning.backend import keras
from instrec.learning.patches import Patches
from instrec.scoring import attribution

network = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
network.compile("sgd", "mse")
x, y = np.ones((6, 2, 2, 1), np.float32), np.eye(6, 3, dtype=np.float32)
data = Patches([x], np.arange(6), 2, targets=y, shuffle_seed=(0,), augmentations="mix noise")
network.fit(data.stream(), steps_per_epoch=3, epochs=2, shuffle=False, verbose=0)
try:
    attribution.integrated_gradients(network, x[:1], 0, baseline=x[:1])
except InputError as error:
    print(error)
"""


def test_jax_trains_where_there_is_no_tensorflow_and_says_what_needs_it(run_script):
    pytest.importorskip("jax")
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = run_script("-c", WITHOUT_TENSORFLOW, **environment)
    assert run.stdout.startswith("gradients for patches take TensorFlow")
