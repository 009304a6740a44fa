"""docs/plugins.md: its example package is built from the text, installed by pip, tested and used as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import REPO

pytestmark = pytest.mark.slow

FILE = re.compile(r"^`(raysweep-example/[^`]+)`:.*?\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the package's source, and `installed` with what pip makes of it."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, text in FILE.findall((REPO / "docs" / "plugins.md").read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "raysweep-example" / "raysweep_example" / "__init__.py").touch()
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*pip, "--target", str(folder / "installed"), str(folder / "raysweep-example")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{REPO}:{folder / 'installed'}"
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
    )


def test_its_own_tests_pass(folder):
    done = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "raysweep-example/tests")
    assert done.returncode == 0, done.stdout


def test_its_perturbation_is_listed_with_its_docstring(folder):
    done = python(folder, "-m", "raysweep", "list", "perturbations")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["X1"].startswith(
        "Each vowel after the first letter of a word is left out with probability .2 x strength."
    )


def test_its_parts_work_together_in_one_evaluation(folder):
    evaluate = "evaluate forgetful --problems arithmetic --perturbations X1 --allow-code-execution --storage store"
    done = python(folder, "-m", "raysweep", *evaluate.split(), "--json")
    assert done.returncode == 0, done.stderr
    assert '"timeouts"' in done.stdout and '"X1"' in done.stdout


def test_its_objective_and_its_model_family_keep_their_contracts(tmp_path):
    text = (REPO / "docs" / "plugins.md").read_text()
    blocks = re.findall(r'^```python\n("""(?:Objective|Model family) .*?)^```$', text, re.MULTILINE | re.DOTALL)
    for name, block in zip(("per_token", "starcoder2"), blocks, strict=True):
        (tmp_path / f"{name}.py").write_text(block)
    about = tmp_path / "parts-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1\n")
    groups = {"trainers.objectives": "per_token = per_token:PerToken", "models": "starcoder2 = starcoder2:StarCoder2"}
    entries = "".join(f"[raysweep.{group}]\n{entry}\n" for group, entry in groups.items())
    (about / "entry_points.txt").write_text(entries)
    (tmp_path / "test_parts.py").write_text(
        "from per_token import PerToken\nfrom starcoder2 import StarCoder2\n"
        "from raysweep.testing.families import ModelFamilyContract\n"
        "from raysweep.testing.objectives import ObjectiveContract\n\n"
        "class TestPerToken(ObjectiveContract):\n    make = PerToken\n\n"
        "class TestStarCoder2(ModelFamilyContract):\n    make = StarCoder2\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_parts.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{REPO}:{tmp_path}"},
    )
    assert done.returncode == 0, done.stdout


def test_every_kind_of_part_has_a_line_in_the_table_of_contracts():
    from raysweep.cli.views.names import REGISTRIES
    from raysweep.language.synonyms.base import SYNONYMS
    from raysweep.language.tagging.base import TAGGERS
    from raysweep.language.translation.base import TRANSLATORS

    groups = {registry.package for registry in (*REGISTRIES.values(), SYNONYMS, TAGGERS, TRANSLATORS)}
    text = (REPO / "docs" / "plugins.md").read_text()
    table = re.findall(r"^\| [^|]* \| `raysweep\.[\w.]+` \| `([\w.]+)` \|", text, re.MULTILINE)
    assert set(table) == groups
