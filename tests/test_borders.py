"""Who may import what, and what `raysweep --help` may not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "raysweep"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = (
    "ray",
    "torch",
    "transformers",
    "peft",
    "pandas",
    "pyarrow",
    "matplotlib",
    "scipy",
    "datasets",
    "deepspeed",
    "textattack",
    "nltk",
)


def imports(path: Path, everywhere: bool) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_engine_imports_ray(path):
    inside = path.parent == PACKAGE / "engine"
    assert inside or not [name for name in imports(path, everywhere=True) if name.split(".")[0] == "ray"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    assert not [name for name in imports(path, everywhere=False) if name.split(".")[0] in HEAVY]


LAYERS = [
    {
        "records",
        "programs",
        "errors",
        "seeding",
        "registry",
        "tables",
        "provenance",
        "terminal",
        "machine",
        "run_log",
        "background",
    },
    {"storage"},
    {
        "models",
        "language",
        "problems",
        "perturbations",
        "textattack",
        "training_sets",
        "jsonrows",
        "hub_rows",
        "textdiff",
    },
    {"trainers", "generators", "execution", "metrics", "analysis", "audit"},
    {"config", "config_types", "config_models", "config_running", "stored_config", "document"},
    {"engine", "grid", "progress", "attempts", "inputs", "method_inputs", "config_file"},
    {
        "plans",
        "set_plans",
        "set_planning",
        "planning",
        "plan_keys",
        "stage_inputs",
        "sweep_folder",
        "grid_rows",
        "samples",
        "samples_part",
        "samples_scores",
    },
    {"reference_times", "training_stage", "training_set_stage", "judging_stage", "evaluation_stage", "pipeline"},
    {
        "reporting",
        "report_settings",
        "report_execution",
        "run_guards",
        "making",
        "leakage_text",
        "sweep",
        "data_sets",
        "watching",
        "space",
    },
    {
        "perturb_view",
        "audit_view",
        "plan_view",
        "show",
        "status_view",
        "cell_view",
        "tools",
        "attacking",
        "attack_view",
        "samples_run",
        "samples_view",
        "doctor",
        "doctor_checks",
        "doctor_view",
    },
    {"cli", "cli_attack", "cli_tools", "cli_options", "cli_end", "__main__", "__init__"},
]


def layer(module: str) -> int:
    return next(at for at, names in enumerate(LAYERS) if module in names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for name in imports(path, everywhere=False):
        parts = name.split(".")
        if parts[0] == "raysweep" and len(parts) > 1:
            assert layer(parts[1]) <= layer(own), f"{own} imports {name}"


def test_analysis_and_metrics_see_records_only():
    for folder in ("analysis", "metrics"):
        for path in (PACKAGE / folder).rglob("*.py"):
            own = {n for n in imports(path, everywhere=True) if n.startswith("raysweep.")}
            allowed = (
                f"raysweep.{folder}",
                "raysweep.records",
                "raysweep.programs",
                "raysweep.errors",
                "raysweep.registry",
                "raysweep.seeding",
                "raysweep.textdiff",
            )
            assert all(name.startswith(allowed) for name in own), (path, own)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, raysweep.cli\n"
        "try: raysweep.cli.main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"
