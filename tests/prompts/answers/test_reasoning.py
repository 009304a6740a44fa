"""Reasoning in answers, and what a prompt leaves open of it."""

from __future__ import annotations

import pytest

from raysweep.prompts.answers.reasoning import closing_of, marks_reasoning, opened_reasoning, thought, without_reasoning


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>a\n\nb</think>\nc", "\nc"),
        ("a</think>b", "b"),
        ("x <think> y", "x <think> y"),
        ("x\n<think>y", "x\n"),
        ("<reasoning>a</reasoning>b\n<think>c</think>d", "b\nd"),
        ("print('</think>')", "print('</think>')"),
        ("no tags < here >", "no tags < here >"),
        ('<thinking type="deep">a</thinking>b', "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b"),
        ("<|channel>thought\na<channel|>b", "b"),
        ("<|channel|>analysis<|message|>aassistant<|channel|>final<|message|>b", "b"),
        ("<|channel|>analysis<|message|>a<|channel|>commentary to=x <|constrain|>json<|message|>b", "b"),
        ("x<|channel|>analysis<|message|>a", "x"),
        ("print('<|channel|>analysis<|message|>')", "print('<|channel|>analysis<|message|>')"),
        ("analysisWe need code", ""),
        ("analysis_of = 1", "analysis_of = 1"),
        ("<think>a\n```python\nx = 1\n```</think>\nb", "\nb"),
    ],
)
def test_reasoning_is_left_out(text, left):
    assert without_reasoning(text) == left


@pytest.mark.parametrize(
    ("prompt", "opened", "closing"),
    [
        ("<|assistant|><think>\n", "<think>\n", "\n</think>\n\n"),
        ("<|assistant|><think>", "<think>", "\n\n</think>\n\n"),
        ("<|assistant|>[THINK]", "[THINK]", "[/THINK]"),
        ("a<seed:think>\n", "<seed:think>\n", "\n</seed:think>\n\n"),
        ("a<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
        ("a<|channel|>analysis", "<|channel|>analysis", "<|message|><|end|><|start|>assistant"),
        ("<|assistant|>Here are my reasoning steps:\n", "Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
        ("a<|begin_of_thought|>\n\n", "<|begin_of_thought|>\n\n", "<|end_of_thought|>\n\n"),
    ],
)
def test_reasoning_that_a_prompt_opens_is_closed_at_once(prompt, opened, closing):
    assert opened_reasoning(prompt) == opened
    assert closing_of(opened).startswith(closing)
    assert without_reasoning(f"{opened}{closing_of(opened)}x").strip() == "x"


@pytest.mark.parametrize("prompt", ["", "<think>\n</think>\n\n", "What is <think>?<|assistant|>", "x"])
def test_a_prompt_that_opens_no_reasoning_is_known(prompt):
    assert opened_reasoning(prompt) == ""


def test_words_behind_a_mark_that_a_template_writes_belong_to_it():
    end = "<|assistant|><think>\nOkay, "
    assert opened_reasoning(f"a{end}", end) == "<think>\nOkay, " and opened_reasoning(f"a{end}") == ""
    assert closing_of("<think>\nOkay, ") == "\n</think>\n\n"
    assert opened_reasoning("<think><|assistant|>", "<|assistant|>") == ""
    assert opened_reasoning("a\nUse <think> tags.\nA:", "\nUse <think> tags.\nA:") == ""


def test_a_thought_without_an_answer_stays_open():
    assert without_reasoning(thought("hm", None)) == "" and without_reasoning(thought("hm", "x")).strip() == "x"


def test_control_tokens_of_reasoning_are_told_from_others():
    marks = ("[THINK]", "[/THINK]", "<think>", "</think>", "<|channel|>", "<|message|>", "<channel|>")
    assert all(map(marks_reasoning, marks))
    assert not any(map(marks_reasoning, ("<|im_end|>", "</s>", "<|endoftext|>", "[INST]", "<pad>", "<|end|>")))
