"""Self-Denoising: what the model is asked, which answers are taken, and what they change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.problems.base import PROBLEMS
from raysweep.prompts.regions import split_prompt
from raysweep.prompts.rewriting import (
    ACCEPTED,
    BROKEN,
    CODE,
    DECODING,
    EMPTY,
    INSTRUCTION,
    LENGTH,
    NO_TEXT,
    Rewriting,
    rewriting,
)
from raysweep.prompts.templates import INSTRUCT, RAW, PromptTemplate
from raysweep.records import Problem, PromptRow, Segment, Spec
from raysweep.stages.test_sets import build_test_set, still_compiles

CLEAN = '''def near(xs, k):
    """Return the numbers of `xs` that are close to k.

    Keep their order.
    >>> near([1], 1)
    [1]
    """
'''
BAD = CLEAN.replace("numbers", "nubmers").replace("order", "oredr")


def asked(prompt: str = BAD) -> Rewriting:
    row = PromptRow("t/1", prompt, CLEAN, "C2", prompt != CLEAN, True)
    return rewriting(row, lambda text: split_prompt(text, "near"))


def compiles(prompt: str) -> bool:
    try:
        compile(prompt + "    pass\n", "prompt", "exec")
    except SyntaxError:
        return False
    return True


def test_a_model_without_a_template_continues_a_text_with_headings():
    assert asked().text == "Return the nubmers of `xs` that are close to k.\n\nKeep their oredr.", "not indented"
    assert (DECODING.temperature, DECODING.max_new_tokens, DECODING.samples) == (0.0, 256, 1)
    request = asked().request(PromptTemplate(RAW))
    assert request is not None
    assert request.prompt == f"{INSTRUCTION}\n\n### Text\n{asked().text}\n\n### Corrected text\n"
    assert request.stop == ("\n###",)  # a blank line ends no answer, since the text has one itself
    assert (request.task_id, request.sample) == ("t/1", 0)
    one_paragraph = asked(BAD.replace("\n\n    Keep their oredr.", "")).request(PromptTemplate(RAW))
    assert one_paragraph is not None and one_paragraph.stop == ("\n###", "\n\n")


def test_a_model_with_a_template_gets_an_instruction():
    request = asked().request(PromptTemplate(INSTRUCT), stop=("<end>",))
    assert request is not None
    assert f"### Instruction:\n{INSTRUCTION}\n\nReturn the nubmers" in request.prompt
    assert request.stop == ("<end>",)


def test_a_corrected_description_takes_the_place_of_the_perturbed_one():
    found = asked().accept(asked(CLEAN).text + "\n", compiles)
    assert found.reason == ACCEPTED
    assert (found.row.prompt, found.row.changed, found.row.method) == (CLEAN, False, "C2")


def test_other_words_are_taken_and_the_code_in_the_text_stays():
    found = asked().accept("Give all numbers of `xs` near to k.\n\nThe order stays.", compiles)
    assert found.reason == ACCEPTED
    assert found.row.prompt == CLEAN.replace(
        "Return the numbers of `xs` that are close to k.\n\n    Keep their order.",
        "Give all numbers of `xs` near to k.\n\n    The order stays.",
    )
    assert found.row.changed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", EMPTY),
        (" \n", EMPTY),
        ("Near.", LENGTH),
        ("Return the numbers of `xs` that are close to k. " * 4, LENGTH),
        ("Return the numbers of xs that are close to k.\n\nKeep their order.", CODE),  # without back-ticks
        ("Return the numbers of `xs` that are close to it.\n\nKeep their order.", CODE),
        ("Return the numbers of `xs` that are close to kk.\n\nKeep their order.", CODE),
        ('Return the numbers of `xs` that are close to k.\n\nKeep """ order.', CODE),
        ("Return the numbers of `xs` that are close to k.\n\nKeep \\x order.", BROKEN),
        ('Return the numbers of `xs` that are close to k."""\n    xs = []\n    """Keep their order.', CODE),  # compiles
    ],
)
def test_an_answer_that_is_not_taken_leaves_the_perturbed_text(answer: str, reason: str):
    found = asked().accept(answer, compiles)
    assert (found.reason, found.row) == (reason, asked().row)


def test_a_prompt_without_natural_language_is_not_rewritten():
    bare = asked("def near(xs, k):\n")
    assert bare.request(PromptTemplate(RAW)) is None
    assert bare.accept("Whatever.", compiles).reason == NO_TEXT
    assert bare.accept("Whatever.", compiles).row == bare.row


def test_a_rewriter_that_undoes_the_perturbation_restores_the_category():
    problem_set = PROBLEMS.create(Spec("minicode", {"world": 1, "count": 60}))
    problems = {problem.task_id: problem for problem in problem_set.problems()}
    rows = build_test_set(problem_set, Spec("C"), seed=3)
    assert any(row.changed for row in rows)
    for row in rows:
        problem = problems[row.task_id]

        def split(text: str, problem: Problem = problem) -> list[Segment]:
            return problem_set.segments(replace(problem, prompt=text))

        answer = rewriting(replace(row, prompt=problem.prompt), split).text
        found = rewriting(row, split).accept(answer, lambda prompt, problem=problem: still_compiles(problem, prompt))
        assert (found.reason, found.row.prompt) == (ACCEPTED, problem.prompt), row.prompt
