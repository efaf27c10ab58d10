"""Experiments: their files, and the order in which they are run."""

import dataclasses

import pytest
from conftest import refuses

from instrec import experiments
from instrec.config import read
from instrec.errors import InputError

PLAIN = """
title = "A title"
answers = "thesis 5.4"

[settings]
dataset = 1
model = "model_baseline"
optimizer = "adam"
"""


@pytest.fixture
def catalogue():
    return {name: experiments.load(name) for name in experiments.names()}


def configs_of(catalogue):
    return {id_: read().changed(e.parameters, e.source) for id_, e in catalogue.items()}


def write(path, text):
    path.write_text(text)
    return experiments.load(str(path))


def test_every_file_can_be_run(catalogue):
    assert len(catalogue) == 40
    configs = configs_of(catalogue)
    experiments.check_apart(catalogue, configs)
    order = [e.id for e in experiments.in_order(catalogue, catalogue, configs)]
    assert sorted(order) == sorted(catalogue)
    for experiment in catalogue.values():
        assert experiment.answers
        if experiment.baseline:
            assert order.index(experiment.baseline) < order.index(experiment.id)
    assert order.index("irmas_wind") < order.index("jazz_from_wind_adam_sigmoid")


def test_the_published_numbers_of_the_thesis(catalogue):
    published = {id_: experiment.published for id_, experiment in catalogue.items()}
    assert published["irmas_relu"]["s1 micro"] == [0.591, 0.548, 0.568]
    assert published["monotimbral_leaky"]["s2 macro"] == [0.657, 0.69, 0.649]
    assert published["jazz_solo"]["s1 micro"] == 0.805
    assert published["irmas_ensemble"]["s2 micro"] == [0.657, 0.603, 0.629]


def test_what_is_chosen_brings_what_it_starts_from(catalogue):
    configs, chosen = configs_of(catalogue), "jazz_from_wind_adam_two_passes"
    order = [e.id for e in experiments.in_order([chosen], catalogue, configs)]
    assert order[-1] == chosen and set(order) == {chosen, "irmas_wind", "jazz"}
    ensemble = [e.id for e in experiments.in_order(["irmas_ensemble"], catalogue, configs)]
    assert ensemble == ["irmas_relu", "irmas_ensemble"]


def test_an_ensemble_of_a_variant_needs_the_variant(tmp_path):
    text = PLAIN.replace("[settings]", "[settings]\nensemble = true", 1)
    experiment = write(tmp_path / "x.toml", 'baseline = "irmas_standardised"\n' + text)
    config = read().changed(experiment.parameters, "")
    assert experiments.needs(experiment, config) == ["irmas_1024/standardised.adam"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title", "cannot be read as TOML"),
        (PLAIN.replace("title", "titel", 1), "no 'titel': did you mean 'title'"),
        (PLAIN.replace('"A title"', "3"), "expected title to be of type str, found 3"),
        (PLAIN + '[published]\n"s3 micro" = 0.5', "found 's3 micro'"),
        (PLAIN + '[published]\n"s1 micro" = 50', "shares from 0 to 1, .*: 50"),
        (PLAIN + '[published]\n"s1 micro" = [0.5, 0.6]', r"found 's1 micro': \[0.5, 0.6\]"),
        ("published_change = [1]\n" + PLAIN, "two numbers"),
        ("published_change = {macro = 1}\n" + PLAIN, "two numbers"),
        ("published_change = {macros = [0, 1]}\n" + PLAIN, "two numbers"),
    ],
)
def test_what_an_experiment_cannot_say(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as error:
        write(tmp_path / "x.toml", text)
    assert "x.toml" in str(error.value) and "\n" not in str(error.value)


def test_a_mistyped_name_is_told():
    refuses("did you mean 'irmas_relu'", experiments.load, "irmas_reluu")


def test_results_of_two_experiments_lie_apart(catalogue):
    copy = dataclasses.replace(catalogue["irmas_relu"], id="copy", source="copy.toml")
    both = {"irmas_relu": catalogue["irmas_relu"], "copy": copy}
    with pytest.raises(InputError, match=r"copy\.toml would write the same results"):
        experiments.check_apart(both, configs_of(both))
    both["copy"] = dataclasses.replace(
        copy, parameters=copy.parameters | {"name": "other", "num_mel_bands": 64}
    )
    refuses("need different patches of irmas_1024", experiments.check_apart, both, configs_of(both))


def test_a_circle_and_what_nobody_trains_are_refused(catalogue):
    both = {name: catalogue[name] for name in ("irmas_leaky", "irmas_relu")}
    both["irmas_relu"] = dataclasses.replace(both["irmas_relu"], baseline="irmas_leaky")
    with pytest.raises(InputError, match="depend on one another: .*irmas_relu"):
        experiments.in_order(both, both, configs_of(both))
    alone = {"irmas_harm": catalogue["irmas_harm"]}
    refuses("no experiment makes irmas_relu", experiments.in_order, alone, alone, configs_of(alone))


@pytest.mark.parametrize("scale", ["full", "demo", "smoke"])
def test_scales(scale):
    experiment = experiments.load(f"scales/{scale}")
    read().changed(experiment.parameters, scale)
    assert bool(experiment.render) == (scale != "full")


@pytest.mark.parametrize(
    ("script", "step"),
    [
        ("train.py", "generate_dataset.py"),
        ("generate_dataset.py", "create_encoding.py"),
        ("plot_perf_metrics.py", "evaluate.py -O 2"),
    ],
)
def test_a_message_names_a_command_of_the_same_experiment(refused, script, step):
    """The tensors and results of this one are not those of its data set alone."""
    assert f"python3 {step} -x irmas_window_2048" in refused(script, "-x", "irmas_window_2048")
