"""Counts the changes that the methods make to published problems, next to ReCode's published sets; prints examples.

    python benchmarks/quality.py FOLDER             statistics, as Markdown tables on stdout
    python benchmarks/quality.py --examples         docs/perturbation-examples.md: 20 docstrings after each method

FOLDER holds ReCode's dataset-release in two folders: nominal/ and perturbed/ (seed 0).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.problems.base import ProblemSet
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.jsonl import JsonlProblems
from raysweep.records import Spec
from raysweep.stages.test_sets import build_test_set, still_compiles

METHODS = ("C1", "C2", "C3", "W1", "W2", "W3", "S1", "S2", "S3")
FILES = {
    "C1": "ButterFingersPerturbation",
    "C2": "SwapCharactersPerturbation",
    "C3": "ChangeCharCase",
    "W1": "SynonymInsertion",
    "W2": "SynonymSubstitution",
    "W3": "EnglishInflectionalVariation",
    "S1": "BackTranslation",
    "S2": "TenseTransformationPast",
    "S3": "TenseTransformationFuture",
}
SHOWN = (0, 1, 2, 3, 7, 20, 31, *range(40, 170, 10))


def distance(one: Sequence[object], other: Sequence[object]) -> int:
    """Return the Levenshtein distance of two sequences, after skipping their equal starts and ends."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    if not one or not other:
        return len(one) + len(other)
    codes = {item: code for code, item in enumerate(dict.fromkeys([*one, *other]))}
    row, indices = numpy.arange(len(other) + 1), numpy.arange(len(other) + 1)
    columns = numpy.array([codes[item] for item in other])
    for item in one:
        moved = row + 1
        moved[1:] = numpy.minimum(moved[1:], row[:-1] + (columns != codes[item]))
        row = numpy.minimum.accumulate(moved - indices) + indices
    return int(row[-1])


def line(name: str, clean: Sequence[str], perturbed: Sequence[str], broken: int, words: Sequence[int]) -> str:
    """Return one row of the table."""
    changed = sum(one != other for one, other in zip(clean, perturbed, strict=True))
    chars = [distance(one, other) for one, other in zip(clean, perturbed, strict=True)]
    edits = [distance(one.split(), other.split()) for one, other in zip(clean, perturbed, strict=True)]
    share = sum(edits) / sum(words)
    means = f"{sum(chars) / len(chars):.1f} | {sum(edits) / len(edits):.1f} | {share:.0%}"
    return f"| {name} | {changed} of {len(clean)} | {len(clean) - changed} | {broken} | {means} |"


def statistics(folder: Path) -> None:
    """Print a table for each problem set, with raysweep's and ReCode's row for each method."""
    sets: dict[str, tuple[str, ProblemSet]] = {
        "HumanEval": ("humaneval", HumanEval()),
        "MBPP": ("mbpp", JsonlProblems(str(folder / "nominal/mbpp_wtest.jsonl.gz"))),
    }
    for title, (short, problems) in sets.items():
        listed = list(problems.problems())
        clean = [problem.prompt for problem in listed]
        words = [sum(len(s.text.split()) for s in problems.segments(p) if s.natural) for p in listed]
        print(
            f"\n| {title} | rows changed | rows_unchanged | rows_not_compiling | characters | words | words touched |"
        )
        print("|---|---|---|---|---|---|---|")
        for name in METHODS:
            rows = build_test_set(problems, Spec(name), seed=42)
            prompts = [row.prompt for row in rows]
            print(line(f"{name} raysweep", clean, prompts, sum(not row.compiles for row in rows), words))
            theirs = recode(folder / f"perturbed/{short}_{FILES[name]}_s0.jsonl.gz")
            prompts = [theirs[problem.task_id] for problem in listed]
            broken = sum(not still_compiles(p, prompt) for p, prompt in zip(listed, prompts, strict=True))
            print(line(f"{name} ReCode", clean, prompts, broken, words), flush=True)


def recode(path: Path) -> dict[str, str]:
    """Return ReCode's prompts by task id."""
    return {row["task_id"]: row["prompt"] for row in map(json.loads, gzip.decompress(path.read_bytes()).splitlines())}


def examples() -> None:
    """Print 20 docstrings after each method."""
    problems = HumanEval()
    listed = list(problems.problems())
    print("# Twenty docstrings after each method\n")
    print("Made by `python benchmarks/quality.py --examples`: HumanEval, seed 42, strength 1. Code words stay.\n")
    prompts = {}
    for name in METHODS:
        method = PERTURBATIONS.create(Spec(name))
        if name == "S1":
            print(f"S1 here: {method.fingerprint()['translator']}.\n")
        prompts[name] = {row.task_id: row.prompt for row in build_test_set(problems, Spec(name), seed=42)}
    for index in SHOWN:
        problem = listed[index]
        print(f"## {problem.task_id}\n")
        print("| | |\n|---|---|")
        for name, prompt in {
            "clean": problem.prompt,
            **{n: texts[problem.task_id] for n, texts in prompts.items()},
        }.items():
            print(f"| {name} | {description(problems, problem, prompt)} |")
        print()


def description(problems: ProblemSet, problem: object, prompt: str) -> str:
    """Return a prompt's description on one line, escaped for a table."""
    segments = problems.segments(problem)
    before, after = len(segments[0].text), len(segments[-1].text)
    return " ".join(prompt[before : len(prompt) - after].split()).replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["--examples"]:
                examples()
            case [given]:
                statistics(Path(given))
            case _:
                sys.exit(__doc__)
    except UsageError as error:
        sys.exit(f"error: {error}")
