"""Declared dependencies and the packages that the code uses are the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache

import pytest
from packaging.requirements import Requirement

from tests.paths import REPO
from tests.syntax import parsed

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OPTIONAL = ("translation", "attack", "deepspeed", "openai", "quantize", "quality")
"""Extras that users may install."""
DEVELOPERS = ("docs", "dev")
"""Extras for those who work on raysweep or build the docs."""
MODULES = {"pyyaml": "yaml"}
"""Imported names that differ from the distribution's by more than a hyphen."""
CHOSEN = {"nltk", "spacy", "vllm"}
"""Packages that a user installs to choose other language resources or a generator; without them raysweep says so."""
COMES_WITH = {
    "markupsafe": "jinja2",
    "grpc": "ray",
    "astroid": "pylint",
    "isort": "pylint",
    "httpx": "huggingface-hub",
    "fsspec": "ray",
}
"""Packages that a declared one brings along wherever it takes or gives their objects."""
OTHERS = {"flair": "0.12.2"}
"""Packages that only other packages import, each with a release that an installer must not fall back to."""
TOOLS = {"check-jsonschema", "mypy", "ruff", "pandas-stubs", "syrupy", "types-PyYAML", "uv"}
"""Development tools that no test imports."""


def names(requirements: list[str]) -> set[str]:
    return {Requirement(text).name for text in requirements}


def source(folder: str) -> str:
    return "\n".join(path.read_text() for path in sorted((REPO / folder).rglob("*.py")))


@cache
def imported(folder: str) -> frozenset[str]:
    """Return the first names of all imports that are neither the standard library's nor raysweep's."""
    found = set()
    for node in (node for path in (REPO / folder).rglob("*.py") for node in ast.walk(parsed(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return frozenset(found - set(sys.stdlib_module_names) - {"raysweep", "tests"})


def is_used(distribution: str, text: str, modules: frozenset[str]) -> bool:
    """Tell whether a distribution is imported, or named in a string: some are only looked up by name."""
    return MODULES.get(distribution, distribution.replace("-", "_")) in modules or bool(
        re.search(f'"{distribution}"', text)
    )


@pytest.mark.slow
def test_nothing_is_declared_before_the_code_uses_it():
    text, modules = source("raysweep"), imported("raysweep")
    for extra in (PROJECT["dependencies"], *(EXTRAS[name] for name in OPTIONAL)):
        assert [name for name in names(extra) - set(OTHERS) if not is_used(name, text, modules)] == []
    modules |= imported("tests")
    assert [name for name in names(EXTRAS["dev"]) - TOOLS if name.replace("-", "_") not in {"raysweep"} | modules] == []


@pytest.mark.slow
def test_what_the_code_imports_is_declared():
    declared = names([*PROJECT["dependencies"], *(text for name in OPTIONAL for text in EXTRAS[name])])
    modules = {MODULES.get(name, name.replace("-", "_")) for name in declared}
    assert imported("raysweep") - modules - CHOSEN - set(COMES_WITH) == set()
    assert set(COMES_WITH.values()) <= declared and set(COMES_WITH) | CHOSEN <= imported("raysweep")
    assert "psutil" not in imported("raysweep") and "psutil" in names(EXTRAS["dev"]), "only development needs it"


@pytest.mark.parametrize("extra", ["attack", "all"])
def test_packages_of_others_are_bounded(extra):
    bounds = {found.name: found.specifier for found in map(Requirement, EXTRAS[extra])}
    assert not [name for name, old in OTHERS.items() if old in bounds[name]]


def test_all_brings_every_extra_but_those_for_developers():
    assert set(OPTIONAL) == set(EXTRAS) - {"all", *DEVELOPERS}
    assert set(EXTRAS["all"]) == {text for name in OPTIONAL for text in EXTRAS[name]}
    assert not [text for texts in EXTRAS.values() for text in texts if text.startswith("raysweep")]
    named = re.findall(r"\.\[([\w,]+)\]", (REPO / "Makefile").read_text())
    assert named and {name for extras in named for name in extras.split(",")} <= set(EXTRAS)


@pytest.mark.slow
def test_nothing_imports_what_is_for_tests():
    for path in (REPO / "raysweep").rglob("*.py"):
        found = re.search(r"^\s*(import|from) (pytest|hypothesis|raysweep\.testing)\b", path.read_text(), re.M)
        assert not found, path


@pytest.mark.slow
def test_what_works_beside_trials_imports_no_config():
    """Building a config's sections takes a tenth of a second in each host and worker."""
    modules = ("execution", "hosts.generation", "hosts.keeper", "numbers.held", "perturbing", "training")
    code = (
        f"import sys, {', '.join(f'raysweep.engine.ray.{name}' for name in modules)}\n"
        "print([name for name in sys.modules if name.startswith('raysweep.config.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
