"""The documentation: links lead somewhere, commands parse and run, examples print what they say."""

import argparse
import ast
import doctest
import importlib
import inspect
import re
import shlex

import pytest
from conftest import OF_TESTS, ROOT, make_irmas

import compare_models
import models
import settings
from instrec import experiments
from instrec.config import read
from instrec.data import metadata

PAGES = sorted(
    path for folder in (ROOT, ROOT / "docs", ROOT / "docs/report") for path in folder.glob("*.md")
)
NAMES = {path: path.relative_to(ROOT).as_posix() for path in PAGES}
FENCE = re.compile(r"^(```+)(.*?)\n(.*?)^\1$", re.M | re.S)
PLACEHOLDERS = {
    "<model_name>": "model_leaky",
    "<optimizer_name>": "adam",
    "<y/n>": "y",
    "<1/2/3>": "2",
}
OTHER_PROGRAMS = {"pip", "git", "source", "export", "pre-commit"}  # not of this project

every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES.get)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def fences(page, language):
    """What the code blocks of a language hold; '' is that of commands."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [body for _, info, body in found if info.strip() == language]


def commands(page):
    """Every command that a page prints, in blocks and within its text, as lists of words."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    lines = [line for body in fences(page, "") for line in body.splitlines()]
    for body in fences(page, "bash"):  # of other programs, too
        lines += re.findall(r"^(?:\w+=\S+ )*(python3 .+)$", body, re.M)
    lines += [" ".join(code.split()) for code in re.findall(r"`(python3 [^`]+|make [^`]+)`", prose)]
    for line in lines:
        for placeholder, value in PLACEHOLDERS.items():
            line = line.replace(placeholder, value)
        if "global_res.loc[" in line or "class_res.loc[" in line:
            continue  # for the prompt: run below
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words:
                yield words


def anchors(page):
    """The anchors of a page: its headings as GitHub names them, and its labels."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
    yield from re.findall(r"^\(([\w-]+)\)=$", text, re.M)


# --- links ----------------------------------------------------------------------------------------
@every_page
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`]*`", "", text)
    for target in re.findall(r"(?<!\\)\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{NAMES[page]}: {target}"
        assert not anchor or anchor in anchors(other), f"{NAMES[page]}: {target}"


@every_page
def test_figures_have_alternative_texts(page):
    images = re.findall(r"!\[([^]]*)\]\(", page.read_text(encoding="utf-8"))
    assert all(len(text.split()) >= 3 for text in images)


# --- commands -------------------------------------------------------------------------------------
class ParsedError(Exception):
    """Ends a script once its command line has been read."""


@pytest.fixture
def parse(monkeypatch):
    """Read a command line by the script's own parser, and go no further."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(self, *arguments):
        raise ParsedError(parse_args(self, *arguments))

    def parse_command(script, arguments):
        main = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main
        if not inspect.signature(main).parameters:
            assert not arguments
            return argparse.Namespace()
        with pytest.raises(ParsedError) as parsed:
            main(arguments)
        return parsed.value.args[0]

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    return parse_command


@every_page
def test_printed_commands_are_those_of_the_scripts(page, parse):
    targets = re.findall(r"^(\w+):", text_of("Makefile"), re.M)
    for program, *words in commands(page):
        if program == "make":
            assert {word for word in words if "=" not in word} <= set(targets), words
        elif program in ("python3", "ipython3") and words[0].endswith(".py"):
            check_names(parse(words[0], words[1:]))
        elif program == "python3" and words[0] == "-c":
            ast.parse(words[1])
        elif program == "cd":
            assert words[0].split("/")[0] in ("models", "<MODEL_PATH>", "instreccnn")
        else:
            assert (program, words[:1]) == ("python3", ["-m"]) or program in OTHER_PROGRAMS, program


def check_names(arguments):
    """Data sets, networks and experiments that a command names must be there."""
    if getattr(arguments, "dataset", None) is not None:
        assert arguments.dataset in settings.DATA_SETS.keys() - OF_TESTS
    if getattr(arguments, "model", None):
        assert set(arguments.model.split("+")) <= set(models.model_names())
    for name in (*getattr(arguments, "experiment", []), *getattr(arguments, "experiments", [])):
        experiments.load(name)


def test_the_readme_s_commands_run_in_their_order(paths, call, monkeypatch):
    make_irmas(paths, train=4, test=22)
    monkeypatch.setattr(settings, "nb_epochs", 1)
    monkeypatch.setattr(settings, "iter_num", 1)
    (run_order,) = [body for body in fences(ROOT / "README.md", "") if "create_encoding" in body]
    ran = []
    for line in run_order.splitlines():
        program, *words = shlex.split(line, comments=True)
        if program == "python3":
            call(*words)
            ran.append(words[0])
    assert len(ran) == 9 and ran[-1] == "plot_history.py"
    assert list(read().model_folder.glob("model_leaky/figures/*.png"))

    # What the prompt of the last line offers, as the page on evaluation prints it.
    frames = compare_models.load_results()._asdict()
    examples = re.findall(r"^(?:global|class).*_?res\.loc.*$", text_of("docs/evaluation.md"), re.M)
    assert len(examples) == 3
    for example in examples:
        for key, model in (("jazz_db_1024", ""), ("youtube_1024", ""), ("", "model_baseline")):
            example = example.replace(key or model, "irmas_1024" if key else "model_leaky")
        assert list(eval(example, frames).index) == ["precision", "recall", "f-score"]


# --- examples -------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", [p for p in PAGES if fences(p, "pycon")], ids=NAMES.get)
def test_sessions_print_what_the_page_says(page):
    source = "\n".join(fences(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(source, {}, NAMES[page], str(page), 0)
    printed = []
    results = doctest.DocTestRunner().run(test, out=printed.append)
    assert results.attempted > 20 and results.failed == 0, "".join(printed)


@every_page
def test_imports_of_examples_exist(page):
    for body in fences(page, "python"):
        for node in ast.walk(ast.parse(f"{{{body}}}" if body[:1].isdigit() else body)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_data_set_network_and_experiment_of_one_s_own(tmp_path):
    entry, network = fences(ROOT / "docs/your_own.md", "python")
    (experiment,) = fences(ROOT / "docs/your_own.md", "toml")
    data_set = eval(f"{{{entry}}}", {"DataSet": settings.DataSet})[13]
    assert data_set.key(1024) == "guitars_1024" and 13 not in settings.DATA_SETS
    names = {}
    exec(network, names)
    built = names["get_model"]((128, 43, 1), 11)
    assert built.output_shape == (None, 11) and built.name == "model_mine"
    path = tmp_path / "flat_slope.toml"
    path.write_text(experiment)
    parsed = experiments.load(str(path))
    assert read().changed(parsed.parameters, "").alpha == 0.1
    assert parsed.baseline in experiments.names()


# --- facts that are said twice --------------------------------------------------------------------
def test_data_sets_are_those_of_the_settings():
    rows = re.findall(
        r"^\| (-?\d+) \| ([^|]+) \|.*\| (`.*`) \|$", text_of("docs/getting_started.md"), re.M
    )
    assert {int(id_): title for id_, title, _ in rows} == {
        id_: settings.DATA_SETS[id_].title for id_ in settings.DATA_SETS.keys() - OF_TESTS
    }
    for id_, _, folders in rows:
        named = tuple(folder.split("/")[0] for folder in re.findall(r"`([^`]+)`", folders))
        assert named == settings.DATA_SETS[int(id_)].folders


def test_the_counts_of_irmas_are_those_that_are_checked():
    tree = fences(ROOT / "docs/getting_data.md", "text")[0]
    found = re.findall(r"(IRMAS-[\w-]+)/.* ([\d,]+) clips", tree)
    assert {part: int(n.replace(",", "")) for part, n in found} == metadata.IRMAS_CLIPS


def test_the_tutorial_s_table_is_the_readme_s():
    readme = re.findall(
        r"^\| (s[12]) \| (\w+) \| ([\w-]+) \| ([\d.]+) \|", text_of("README.md"), re.M
    )
    rows = [
        line.split() for line in text_of("docs/tutorial.md").splitlines() if line.count("±") == 3
    ]
    tutorial = [(*row[:3], row[9]) for row in rows if row[1] != "macro_sklearn"]
    assert len(readme) == 8 and readme == tutorial


def test_defaults_are_those_of_the_settings():
    pattern = r"^(\w+)\n: .*\(default: ([\d.]+)\)\.$"
    found = dict(re.findall(pattern, text_of("docs/getting_started.md"), re.M))
    assert len(found) == 9
    assert {name: float(value) for name, value in found.items()} == {
        name: read().parameters()[name] for name in found
    }


def test_commands_are_found():
    assert sum(words[0] == "python3" for page in PAGES for words in commands(page)) > 50
