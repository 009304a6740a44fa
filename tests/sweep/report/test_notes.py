"""What a report says of settings, completions and execution: a snapshot of the lines in each case."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from raysweep.config.loading import config_from, load_config, read_config, to_yaml
from raysweep.config.schema import ExecutionConfig, SweepConfig
from raysweep.records import ReferenceRun
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import (
    execution_lines,
    generation_lines,
    inside_lines,
    problem_lines,
    reference_lines,
    settings_lines,
    signature,
    translation_lines,
)
from tests.paths import NANO

GENERATED = {"rows": 40, "distinct": 30, "reused": 0, "tokens": 900, "prompt_tokens": 0, "prompts_too_long": 0}
JUDGED = {
    "rows": 600,
    "programs_run": 150,
    "levels": {"strong": 600},
    "lanes": {"shared": 450, "strict": 150},
    "near_limit": 3,
    "programs_shared": 100,
    "programs_judged_again": 2,
    "programs_judged_otherwise": 0,
}
ODD = {**JUDGED, "levels": {"partial": 1, "strong": 599}, "programs_judged_otherwise": 1}
SETTINGS = {
    "strengths, rates and limits": [
        "strengths={C1: 1.8, C2: 1.8, C3: 0.45}",
        "evaluation.perturbations=[C1, C2, C3, C]",
        "evaluation.compat=recode",
        "execution.memory_mib=300",
    ],
    "a rate above one, and limits of single problems": [
        *("strengths={C3: 20}", "evaluation.perturbations=[C3]", "resources.allow_mixed=true"),
        *("execution.reference_factor=4", "execution.timeout=5"),
    ],
}


def text(lines: Iterable[tuple[str, str]]) -> str:
    return "\n".join(": ".join(line) for line in lines)


def config(**more: Any) -> SweepConfig:
    models = [{"name": "solver", "generator": "reference"}]
    return config_from({"name": "s", "models": models, "evaluation": {"problems": ["humaneval"], **more}}, "test")


@pytest.mark.parametrize("case", SETTINGS)
def test_what_the_config_does_not_say_itself(case, snapshot):
    lines = settings_lines(load_config(NANO, SETTINGS[case]))
    assert text(lines) == snapshot and len(dict(lines)) == len(lines)


def test_methods_without_chance_are_said_in_the_order():
    order = order_of(load_config(NANO, ["evaluation.draws=3", "evaluation.perturbations=[C1, S2]"]))
    assert order.undrawn == ("S2",) and order.draws_text.endswith("(1 of S2, without random choices)")


def test_settings_name_a_perturbation_whose_files_are_gone(tmp_path):
    folder = tmp_path / "MBPP-R"
    folder.mkdir()
    (folder / "mbpp_c1.csv").write_text("original_prompt,prompt,code\nSort it.,Srot it.,def f(): pass\n")
    value = {
        "name": "own",
        "models": [{"name": "reference", "generator": "reference"}],
        "perturbations": {"voice": {"name": "nlperturbator", "path": str(tmp_path), "category": "c1"}},
        "evaluation": {"problems": ["humaneval"], "perturbations": ["voice"]},
    }
    voiced = config_from(value, "test")
    assert dict(settings_lines(voiced))["published prompts (voice)"] == (
        "NLPerturbator, strength 1, c1: 1 published descriptions"
    )
    (tmp_path / "config.yaml").write_text(to_yaml(voiced))
    shutil.rmtree(folder)
    assert dict(settings_lines(read_config(tmp_path / "config.yaml")))["published prompts (voice)"] == "NLPerturbator"


@pytest.mark.parametrize(
    "counts",
    [[GENERATED, GENERATED], [GENERATED | {"reused": 12, "prompt_tokens": 70, "prompts_too_long": 1}], [{}]],
    ids=["copies", "reused and too long", "nothing"],
)
def test_the_line_on_completions(counts, snapshot):
    assert text(generation_lines(counts)) == snapshot


@pytest.mark.parametrize(
    ("required", "counts"),
    [("filtered", [JUDGED, JUDGED, {}]), ("partial", [ODD, JUDGED]), ("partial", [{}])],
    ids=["sums", "levels that differ", "nothing"],
)
def test_execution_lines_sum_over_results(required, counts, snapshot):
    assert text(execution_lines(ExecutionConfig(require=required), counts)) == snapshot


def test_at_most_20_problems_judged_inside_are_listed_with_their_reasons(snapshot):
    assert text(inside_lines({"mine": {f"T/{at}": "they import inspect" for at in range(23)}})) == snapshot
    assert inside_lines({}) == []


def test_problems_without_packages_without_checks_and_with_failing_references_are_listed_with_their_reasons():
    passed = ReferenceRun("T/0", "passed", 0.1, 5.0, "inside")
    failed = replace(passed, task_id="T/1", outcome="failed", detail="assert f() == 1")
    out = replace(passed, task_id="T/2", outcome="syntax_error")
    lacking = replace(passed, task_id="T/3", outcome="untested", detail="its environment lacks seaborn")
    unchecked = replace(passed, task_id="T/4", unchecked="they pass functions that do nothing")
    runs = {"mine": [passed, failed, out, lacking], "good": [passed, unchecked]}
    assert text(problem_lines(runs)) == (
        "left out of mine: 1 of 4 problems: T/3 (its environment lacks seaborn)\n"
        "tests that check nothing on good: 1 of 2 problems: T/4 (they pass functions that do nothing)"
    )
    assert text(reference_lines(runs)) == (
        "references of mine: 1 of 3 reference solutions pass; not those of T/1 (failed: assert f() == 1), "
        "T/2 (syntax error)"
    )


def test_the_signature_names_what_all_numbers_rest_on(snapshot):
    sampled = config(samples=20, temperature=0.2, top_p=0.9, draws=3)
    models = [model.model_copy(update={"dtype": "tf32"}) for model in sampled.models]
    sampled = sampled.model_copy(update={"seeds": [1, 2], "models": models})
    manifests = [
        {"counts": {"levels": {"strong": 3}}, "made": {"versions": {"torch": "2.13.0"}}},
        {"counts": {"levels": {"basic": 2}}, "made": {"versions": {"torch": "2.14.0"}}},
        {"counts": {}},
    ]
    generators = [{"name": "transformers", "versions": {"torch": "2.12.0"}}, {"name": "fake"}, {"missing": "x"}]
    completions = [
        {"spec": {"generator": one}, "made": {"versions": {"torch": "2.12.0", "vllm": "0.14"}}} for one in generators
    ]
    assert signature(sampled, manifests, [*completions, None], "pylint 4.1.4", [1, 2]) == snapshot
    assert signature(config(limit=5), []).endswith(
        "programs run at isolation level unknown; limited to the first 5 problems of a set"
    )


def test_translated_test_sets_name_their_translator(snapshot):
    resources = {"resources": {"translator": "apertium 3.8.3, eng-spa 0.8.1"}}
    test_sets = {
        "clean": {"spec": {"perturbation": {"name": "clean", "args": {}}}},
        "S1": {"spec": {"perturbation": {"name": "S1", "args": {"translator": "apertium"}, **resources}}},
        "S": {"spec": {"perturbation": {"name": "S", "args": {"language": {"translator": "apertium"}}, **resources}}},
    }
    assert text(translation_lines(test_sets)) == snapshot
    assert translation_lines({"clean": test_sets["clean"]}) == []
    said = "; S1, S translated by apertium 3.8.3, eng-spa 0.8.1; "
    assert said in signature(config(), [], test_sets=test_sets)
