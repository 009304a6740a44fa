"""Numbers of a checkout of raysweep: keys of plans, scores and tables of small sweeps, verdicts on programs.

raysweep runs as a user runs it, by its command line in processes of their own, so that the same code reads the numbers
of any commit. They are a mapping of texts to numbers or words:
``scores.parquet|llama|full|C|1|minicode|C1|pass@1|value``: the file, the row's labels, the column.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow.parquet
import yaml

from tests.config.studies import study_overrides
from tests.paths import REPO

Numbers = dict[str, float | str]
PLANNED = ("quickstart", "study", "fait", "creme", "apr", "languages")
"""Configs whose keys are golden."""
HERE = Path(__file__).parent
JAVA = HERE / "java.jsonl"
"""Problems in Java; a generator that knows their solutions solves half of them."""
SWEEPS: Mapping[str, Sequence[str]] = {
    "quickstart": (
        "seeds=[1, 2]",
        "evaluation.draws=2",
        "evaluation.problems=[{name: minicode, split: test, count: 40}, "
        f"{{name: humaneval-x, as: java, path: {JAVA}}}]",
        "recipes.pretrain.steps=200",
        "training.source.rows=800",
    ),
    "evidence-mini": (
        "recipes.pretrain.steps=150",
        "training.sets=[clean, C1, W2, C, W, mix_all, {name: mix50-1, perturbation: mix_all, ratio: 0.5, draw: 1}, "
        "{name: mix50-2, perturbation: mix_all, ratio: 0.5, draw: 2}, "
        "{name: mix60-x0.5, perturbation: mix_all, ratio: 0.6, size: 0.5}]",
        "evaluation.perturbations=[clean, C1, W2, C, W, mix_all]",
    ),
    "fait-mini": (
        "seeds=[1, 2]",
        "recipes.pretrain.steps=100",
        "recipes.sft.steps=30",
        "recipes.fixed-2.steps=20",
        "recipes.fait.steps=30",
        "recipes.dpo.steps=20",
        "training.source.rows=240",
        "training.validation.rows=40",
        "evaluation.problems.0.count=40",
    ),
    "creme-mini": (
        "models.0.recipes=[creme, creme-placebo, creme-nothing, rome, lora-edit]",
        "edits.pairs=3",
        "evaluation.samples=2",
        "evaluation.problems.0.count=60",
    ),
    "apr-mini": (
        "seeds=[1, 2]",
        "keep_models=all",
        "recipes.pretrain.steps=200",
        "training.source.rows=160",
        "evaluation.problems.0.count=60",
    ),
}
"""Small sweeps by their configs, with what makes each end within three minutes."""
MODELS = {"creme-mini": slice(1, 2), "apr-mini": slice(0, 2)}
"""Of these configs only these models are run."""
SOLVER = {"name": "solver", "generator": {"name": "fake", "share": 0.5}}
"""A model of the quickstart that solves half of the problems, also those in Java."""
COUNTED = ("n", "passed", "harness_errors", "pairs", "lost", "won")
"""Whole numbers of the stored frames that are results, not labels."""
VARYING = ("hours", "seconds", "memory", "signature", "note")
"""Columns and metrics, by parts of their names, that differ from run to run or are words."""
SETS = {
    "humaneval": ("humaneval", "human_eval/HumanEval.jsonl.gz"),
    "mbpp-plus": ("mbpp-plus={}", "mbppplus/MbppPlus.jsonl.gz"),
    "java": ("humaneval-x={}", "humaneval_x/humaneval_java.jsonl.gz"),
    "cpp": ("humaneval-x={}", "humaneval_x/humaneval_cpp.jsonl.gz"),
}
"""Problem sets whose reference solutions and mutants are run: raysweep's names, and their files beside the checkout."""
SOME_PROBLEMS = 40
"""Only so many problems of a set have mutants, or are run at all in a compiled language."""
COMPILED = ("java", "cpp")
CHANGES = (
    (" + ", " - "),
    (" == ", " != "),
    (" < ", " <= "),
    ("True", "False"),
    ("true", "false"),
    ("1", "2"),
    ("0", "1"),
)
"""What mutants have another text for, each once."""
_KEYS = """
import json, sys
from raysweep.config.loading import load_config
from raysweep.planning.missing import walk
from raysweep.planning.planner import build_plan
config = load_config(sys.argv[1], sys.argv[2:])
for node in (plan.node for plan in walk(build_plan(config).targets) if plan.node):
    print(json.dumps([node.stage, node.label, node.key]))
"""


def keys(checkout: Path, folder: Path) -> Numbers:
    """Return the keys of the artefacts of `PLANNED`, as a checkout's `plan` computes them on this machine.

    `folder`: an empty one, for tiny models. It is in no key.
    """
    result: Numbers = {}
    for name in PLANNED:
        (folder / name).mkdir(parents=True)
        lines = _python(
            checkout, "-c", _KEYS, f"configs/{name}.yaml", *study_overrides(name, folder / name)
        ).splitlines()
        rows = map(json.loads, lines)
        result |= _numbered((f"key|{name}|{stage}|{label}", key) for stage, label, key in rows)
    return result


def sweep(checkout: Path, name: str, folder: Path) -> Numbers:
    """Run a config of `SWEEPS` into a store below an empty folder, and return the numbers of its results and tables."""
    models = yaml.safe_load((checkout / "configs" / f"{name}.yaml").read_text())["models"][
        MODELS.get(name, slice(None))
    ]
    models += [SOLVER] if name == "quickstart" else []
    overrides = [f"models={json.dumps(models)}", *SWEEPS[name]]
    options = [part for override in overrides for part in ("--set", override)]
    store = str(folder / "store")
    _raysweep(checkout, "run", f"configs/{name}.yaml", *options, "--engine", "local", "--storage", store)
    _raysweep(checkout, "export", name, "--storage", store, "--replication", str(folder / "package"))
    return reported(checkout, name, folder / "package" / "store", folder / "tables")


def reported(checkout: Path, name: str, store: Path, tables: Path) -> Numbers:
    """Return the numbers of a finished sweep in a store, whose report is made anew."""
    _raysweep(checkout, "report", name, "--storage", str(store), "--format", "csv", "--out", str(tables))
    numbers: Numbers = {}
    for file in ("scores", "differences", "problems"):
        table = pyarrow.parquet.read_table(store / "sweeps" / name / f"{file}.parquet")
        measured = [field.name for field in table.schema if str(field.type) == "double" or field.name in COUNTED]
        numbers |= _cells(f"{file}.parquet", table.to_pylist(), set(measured))
    for path in sorted(tables.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [_typed(row) for row in csv.DictReader(stream)]
        measured = {column for row in rows for column, value in row.items() if isinstance(value, float)}
        numbers |= _cells(path.name, rows, measured)
    return numbers


def _typed(row: Mapping[str, str]) -> dict[str, float | str | None]:
    return {column: _number(value) for column, value in row.items() if not any(part in column for part in VARYING)}


def _number(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _cells(file: str, rows: Iterable[Mapping[str, object]], measured: set[str]) -> Numbers:
    """Return the numbers of a table. A row is known by its other columns, and by which of equal ones it is."""
    return _numbered(
        (f"{'|'.join([file, *(str(row[name]) for name in row if name not in (*measured, 'note'))])}|{column}", value)
        for row in rows
        for column in sorted(measured & row.keys())
        if (value := row[column]) is not None and not any(part in str(row.get("metric")) for part in VARYING)
    )


def _numbered(pairs: Iterable[tuple[str, object]]) -> Numbers:
    seen: Counter[str] = Counter()
    result: Numbers = {}
    for name, value in pairs:
        seen[name] += 1
        result[name if seen[name] == 1 else f"{name}|{seen[name]}"] = (
            value if isinstance(value, str) else float(str(value))
        )
    return result


def verdicts(checkout: Path, data: Path, folder: Path) -> Numbers:
    """Return the outcomes of the reference solutions of `SETS`, and of two mutants of some of them.

    `data`: the folder of the problem sets. `folder`: an empty one.
    """
    result: Numbers = {}
    for name, (problem_set, file) in SETS.items():
        samples, out = folder / f"{name}.jsonl", folder / f"{name}.results.jsonl"
        with gzip.open(data / file, "rt", encoding="utf-8") as stream:
            problems = [json.loads(line) for line in stream]
        problems = problems[:SOME_PROBLEMS] if name in COMPILED else problems
        rows = [row for at, problem in enumerate(problems) for row in _samples(problem, at < SOME_PROBLEMS)]
        samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = ("--allow-code-execution", "--timeout", "10", "--out", str(out))
        _raysweep(checkout, "execute", str(samples), "--problems", problem_set.format(data / file), *options)
        judged = [json.loads(line) for line in out.read_text().splitlines()]
        result |= _numbered((f"verdict|{name}|{row['task_id']}", str(row["result"]).split(":")[0]) for row in judged)
    return result


def _samples(problem: Mapping[str, str], has_mutants: bool) -> list[dict[str, str]]:
    body = problem["canonical_solution"]
    mutants = [body.replace(old, new, 1) for old, new in CHANGES if old in body][: 2 * has_mutants]
    return [{"task_id": problem["task_id"], "completion": text} for text in (body, *mutants)]


def _raysweep(checkout: Path, *arguments: str) -> str:
    return _python(checkout, "-m", "raysweep", *arguments)


def _python(checkout: Path, *arguments: str) -> str:
    """Run a checkout's raysweep; raise RuntimeError with the end of its errors if it fails."""
    settings = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env={**os.environ, **settings}, capture_output=True, text=True
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} in {checkout}: {ended.stderr[-2000:]}")
    return ended.stdout


def beside_the_checkout() -> Path:
    """Return the folder of data sets beside the checkout, which only few machines have."""
    return REPO.parent / "shared" / "data"
