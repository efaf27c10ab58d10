"""The house: who may import whom, how large a file may be, and what public functions say."""

import ast
import graphlib
import io
import re
import tokenize
from pathlib import Path

from conftest import ROOT

# From the ground up: a module imports from its own layer and from those above it in this list only.
LAYERS = (
    ("instrec", "instrec.errors"),
    ("settings",),
    ("instrec.config",),
    ("instrec.experiments",),
    ("instrec.common", "models", "separation"),
    ("instrec.data", "rendering"),
    ("instrec.learning",),
    ("instrec.scoring",),
    ("instrec.figures",),
    ("instrec.reporting",),
)
LARGEST = 350  # lines of code
FOLDERS = ("instrec", "models", "separation", "rendering")


def files():
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    # models/compare_models.py stands for the script above it, as the documentation calls it.
    return sorted({*ROOT.glob("*.py"), *inside} - {ROOT / "models" / "compare_models.py"})


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in files()}


def is_typing(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def imports_of(path):
    """Modules of the project that a file imports, wherever in it, but for types alone."""
    waiting, found = [ast.parse(path.read_text(encoding="utf-8"))], set()
    while waiting:
        node = waiting.pop()
        if is_typing(node):
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else node.module for name in inside}
    return (found & set(NAMES)) - {name_of(path)}


def layer_of(name):
    """Number of a module's layer; scripts are above all of them."""
    for number, packages in reversed(list(enumerate(LAYERS))):
        if any(f"{name}.".startswith(f"{package}.") for package in packages):
            return number
    return len(LAYERS)


def test_nothing_imports_what_stands_on_it():
    wrong = []
    for name, path in NAMES.items():
        for imported in imports_of(path):
            is_script = layer_of(imported) == len(LAYERS)
            trains = imported == "train" and name in ("evaluate", "find_label_errors")
            if layer_of(imported) > layer_of(name) or is_script and not trains:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []
    assert imports_of(NAMES["settings"]) == {"instrec.errors"}


def test_there_is_no_circle():
    graph = {name: imports_of(path) for name, path in NAMES.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(NAMES)


def code_lines(path):
    """Count lines of code: without blank lines, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    ignored = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in (*ignored, tokenize.ENDMARKER):
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_no_file_and_no_package_is_large():
    programs = [*files(), *(ROOT / "benchmarks").glob("*.py"), ROOT / "docs" / "conf.py"]
    sizes = {path.relative_to(ROOT): code_lines(path) for path in programs}
    assert {path: size for path, size in sizes.items() if size > LARGEST} == {}
    packages = {}
    for path, size in sizes.items():
        if path.parent != Path():  # scripts are no package
            packages[path.parent] = packages.get(path.parent, 0) + size
    assert max(packages.values()) <= sum(sizes.values()) / 4


def public_functions():
    """Yield path, name, node and docstring of every public function and method."""
    for path in files():
        for scope in [tree := ast.parse(path.read_text()), *tree.body]:
            if scope is tree or (isinstance(scope, ast.ClassDef) and scope.name[0] != "_"):
                for node in scope.body:
                    if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
                        yield path, node, ast.get_docstring(node) or ""


def test_public_functions_say_what_they_take_and_return():
    lacking = []
    for path, node, text in public_functions():
        names = [
            a.arg for a in node.args.args + node.args.kwonlyargs if a.arg not in ("self", "cls")
        ]
        returns = ast.unparse(node.returns or ast.Constant(None))
        gives = returns != "None" and not re.search(r"Iterator\[None\]|ContextManager", returns)
        decorated = any("property" in ast.unparse(d) for d in node.decorator_list)
        if (
            names and not re.search(r"^Parameters", text, re.M) and not node.name.startswith("on_")
        ) or (gives and not decorated and not re.search(r"^(Returns|Yields)\n", text, re.M)):
            lacking.append(f"{path}:{node.lineno} {node.name}")
    assert lacking == []
