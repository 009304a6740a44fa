"""Borders: one order of imports, Ray in one folder, no circles, and maps that agree with the tree.

Each test holds one rule for all modules or folders, and names everything that breaks it at once.
`FLOORS` is the order of imports. All imports count, those inside functions and under `TYPE_CHECKING`
too. A folder or top-level module imports only names that come after it in `ORDER`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

from tests.paths import REPO
from tests.syntax import parsed

PACKAGE = REPO / "raysweep"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})
FLOORS = """
    __main__ testing cli __init__ | sweep | pipeline stages tools | engine planning | config
    | training_sets perturbations trainers generators language models problems
    | storage analysis metrics quality rows prompts stats execution
    | registry records programs hashing machine accelerators periodic units seeding errors
"""
ORDER = FLOORS.replace("|", "").split()
GROUND = FLOORS.rpartition("|")[2].split()
COUNTS_OF_QUALITY = {f"raysweep.quality.{name}" for name in ("reports", "summary", "taxonomy", "sampling")}
"""Modules of `quality` that neither start a linter nor read a file of a model's."""


HEAVY = "ray torch transformers peft pandas pyarrow matplotlib scipy statsmodels datasets deepspeed textattack nltk"
HEAVY = (*HEAVY.split(), "obstore", "openai", "pylint")


def name_of(path: Path) -> str:
    return str(path.relative_to(REPO))


@cache
def imports(path: Path, *, everywhere: bool = True) -> frozenset[str]:
    """Return the names that a module imports; ``from a import b`` counts as ``a.b`` where that is a module."""
    tree = parsed(path)
    names: set[str] = set()
    for node in ast.walk(tree) if everywhere else iter(tree.body):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names |= {name if is_module(name := f"{module}.{alias.name}") else module for alias in node.names}
    return frozenset(names)


@cache
def is_module(name: str) -> bool:
    path = REPO / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def room(name: str) -> str:
    """Return the folder or module of the package's top level that a dotted name lies in."""
    return name.split(".")[1] if "." in name else "__init__"


def inside(path: Path, everywhere: bool = True) -> frozenset[str]:
    names = imports(path) if everywhere else imports(path, everywhere=False)  # kept by the arguments as they are given
    return frozenset(name for name in names if name.split(".")[0] == "raysweep")


def test_the_top_level_holds_what_the_order_names_and_nothing_else():
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert there == set(ORDER)


def breaking(paths: Iterable[Path], found: Callable[[Path], Iterable[str]]) -> dict[str, list[str]]:
    """Return, for each path that breaks a rule, what breaks it there."""
    return {name_of(path): names for path in paths if (names := sorted(found(path)))}


@pytest.mark.slow
def test_imports_follow_the_order():
    def higher(path: Path) -> set[str]:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        lower = ORDER[ORDER.index(own) :] if own in ORDER else []
        return {name for name in inside(path) if room(name) not in lower}

    assert breaking(MODULES, higher) == {}


def test_only_the_ray_engine_imports_ray():
    others = [path for path in MODULES if not path.is_relative_to(PACKAGE / "engine" / "ray")]
    assert breaking(others, lambda path: {name for name in imports(path) if name.split(".")[0] == "ray"}) == {}


def test_the_ray_engine_is_imported_inside_functions_of_sweep_and_doctor_only():
    def of_the_engine(path: Path) -> set[str]:
        own = path.relative_to(PACKAGE).parts
        in_functions_too = own[0] != "sweep" and own[:2] != ("tools", "doctor")
        return {name for name in inside(path, in_functions_too) if name.startswith("raysweep.engine.ray")}

    others = [path for path in MODULES if path.relative_to(PACKAGE).parts[:2] != ("engine", "ray")]
    assert breaking(others, of_the_engine) == {}


def test_placing_imports_of_the_engine_nothing_but_itself():
    lower = {*ORDER[ORDER.index("planning") :]}

    def others(path: Path) -> set[str]:
        return {
            name for name in inside(path) if not name.startswith("raysweep.engine.placing") and room(name) not in lower
        }

    assert breaking((PACKAGE / "engine" / "placing").rglob("*.py"), others) == {}


def test_heavy_packages_are_imported_where_they_are_used():
    def heavy(path: Path) -> set[str]:
        return {name for name in imports(path, everywhere=False) if name.split(".")[0] in HEAVY}

    assert breaking(MODULES, heavy) == {}


def test_no_folder_has_a_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"] and not circle({"a": {"b", "c"}, "b": {"c"}})
    assert breaking(FOLDERS, lambda folder: circle(edges_in(folder))) == {}


def edges_in(folder: Path) -> dict[str, set[str]]:
    """Return the imports of modules under a folder, seen as edges between its own files and sub-folders."""
    prefix = "raysweep." + ".".join(folder.relative_to(PACKAGE).parts) if folder != PACKAGE else "raysweep"
    prefix = prefix.rstrip(".")
    edges: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in inside(path):
            rest = name.removeprefix(prefix)
            if name.startswith(f"{prefix}.") and (other := rest.split(".")[1]) != own:
                edges.setdefault(own, set()).add(other)
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Return the names on a circle of the graph; empty when there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


def test_numbers_see_records_only():
    """`metrics`, `stats` and `analysis` import the ground floor and each other; `analysis` also counts of `quality`."""
    lower = {"metrics", "stats", "analysis", *GROUND}

    def others(path: Path) -> set[str]:
        allowed = COUNTS_OF_QUALITY if path.is_relative_to(PACKAGE / "analysis") else set()
        return {name for name in inside(path) - allowed if room(name) not in lower}

    numbers = [path for folder in ("metrics", "stats", "analysis") for path in (PACKAGE / folder).rglob("*.py")]
    assert breaking(numbers, others) == {}


def test_execution_imports_programs_and_errors_only():
    def others(path: Path) -> set[str]:
        return {name for name in inside(path) if room(name) not in ("execution", "programs", "errors")}

    assert breaking((PACKAGE / "execution").rglob("*.py"), others) == {}


@pytest.mark.slow
def test_only_the_command_line_prints():
    def prints(path: Path) -> list[str]:
        calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
        return [f"line {n.lineno}" for n in calls if isinstance(n.func, ast.Name) and n.func.id == "print"]

    others = [path for path in MODULES if not path.is_relative_to(PACKAGE / "cli")]
    assert breaking(others, prints) == {}


@pytest.mark.slow
def test_two_classes_never_bear_one_name():
    """Classes inside functions count too."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{name_of(path)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_a_folders_docstring_names_its_files():
    """One sentence about the folder, then a line ``name.py: what it does`` or ``name/: what is in it`` for each."""

    def wrong(folder: Path) -> set[str]:
        text = ast.get_docstring(parsed(folder / "__init__.py")) or ""
        listed = set(re.findall(r"^ *(\w+(?:\.py|/)) ", text, re.MULTILINE))
        modules = {path.name for path in folder.glob("*.py") if path.name != "__init__.py"}
        there = modules | {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
        no_sentence = set() if text.partition("\n")[0].endswith(".") else {"its first line is no sentence"}
        return (listed ^ there) | no_sentence

    wrongly = breaking([folder for folder in FOLDERS if folder != PACKAGE], wrong)
    assert wrongly == {}, "the docstring of each folder needs a line for each of its files, and no others"


def test_the_readme_map_lists_the_folders():
    tree = (REPO / "README.md").read_text().partition("\n## Where everything lives\n")[2].partition("```")[2]
    listed = re.findall(r"(\w+)/ ", tree.partition("```")[0])
    assert sorted(listed) == sorted(name for name in ORDER if (PACKAGE / name).is_dir())


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    code = (
        "import sys, raysweep.cli.app\n"
        "try: raysweep.cli.app.main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"


def test_status_imports_no_config_no_plan_and_no_statistics():
    """Building a config's sections takes half a second, as long as the rest of `raysweep status` of a large sweep."""
    heavy = tuple(f"raysweep.{name}" for name in ("config.", "planning", "metrics", "stats", "generators", "execution"))
    code = (
        "import sys, raysweep.cli.app, raysweep.cli.views.status\n"
        f"print([name for name in sys.modules if name.startswith({heavy}) and name != 'raysweep.config.examples'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
