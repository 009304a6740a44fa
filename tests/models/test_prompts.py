from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.models.loading import load_tokenizer
from raysweep.models.prompts import evaluation_prompt, split_docstring, training_prompt
from raysweep.records import ModelRef, Problem, TrainingRow

PROMPT = (
    "from typing import List\n\n\ndef mean(xs: List[float]) -> float:\n"
    '    """ Return the mean.\n    >>> mean([1.0, 3.0])\n    2.0\n    """\n'
)
PROBLEM = Problem("HumanEval/x", PROMPT, "mean", "")
ROW = TrainingRow("0", "0", "Sort a list.", "", "def f(xs):\n    return sorted(xs)", "python", "clean", False, "", "")
HEAD = "Below is an instruction that describes a task"


def show(**options: Any) -> str:
    return evaluation_prompt(PROBLEM, PROMPT, **{"prompt_format": "native", "template": "instruct", **options})


def test_the_templates_are_safecoders() -> None:
    assert training_prompt(ROW, "instruct") == (
        f"{HEAD}. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSort a list.\n\n### Response:\n"
    )
    assert training_prompt(dataclasses.replace(ROW, input="[3, {1}]"), "instruct") == (
        f"{HEAD}, paired with an input that provides further context. Write a response that appropriately completes "
        "the request.\n\n### Instruction:\nSort a list.\n\n### Input:\n[3, {1}]\n\n### Response:\n"
    )


def test_braces_in_an_instruction_stay_as_they_are() -> None:
    assert "{x: {input}}" in training_prompt(dataclasses.replace(ROW, instruction="{x: {input}}"), "instruct")


def test_under_raw_a_row_is_its_instruction() -> None:
    assert training_prompt(dataclasses.replace(ROW, instruction=PROMPT), "raw") == PROMPT


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'alpaca'.*instruct, raw"):
        training_prompt(ROW, "alpaca")


def test_a_base_model_sees_the_stripped_prompt() -> None:
    assert show(tuned=False) == PROMPT.strip()


def test_a_tuned_model_sees_the_template_and_goes_on_from_the_signature() -> None:
    # the exact text that safecoder/scripts/func_eval_gen.py makes of this prompt
    assert show(tuned=True) == (
        f"{HEAD}. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nCreate a Python function for this problem:\n"
        "Return the mean.\n>>> mean([1.0, 3.0])\n2.0\n\n### Response:\n"
        "from typing import List\n\n\ndef mean(xs: List[float]) -> float:"
    )


@pytest.mark.parametrize("tuned", [False, True])
def test_a_prompt_format_holds_for_base_and_tuned_alike(tuned: bool) -> None:
    assert show(tuned=tuned, prompt_format="raw") == PROMPT.strip()
    assert show(tuned=tuned, prompt_format="instruct").startswith(HEAD)
    with pytest.raises(UsageError, match="chat"):
        show(tuned=tuned, prompt_format="chat")


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("prompt_format", ["native", "raw"])
def test_under_the_raw_template_the_prompt_is_never_stripped(tuned: bool, prompt_format: str) -> None:
    assert show(tuned=tuned, prompt_format=prompt_format, template="raw") == PROMPT


def test_a_perturbed_docstring_is_what_the_model_reads() -> None:
    shown = evaluation_prompt(
        PROBLEM, PROMPT.replace("mean.", "maen."), prompt_format="native", tuned=True, template="instruct"
    )
    assert "Return the maen." in shown


def test_a_helpers_docstring_is_part_of_the_signature() -> None:
    helper = 'def g(x):\n    """Help."""\n    return x\n\n\n'
    signature, docstring = split_docstring(helper + "def f(x):\n    '''Do it.'''\n", "f")
    assert (signature, docstring) == (helper + "def f(x):", "Do it.")


def test_without_a_docstring_the_whole_prompt_is_the_task() -> None:
    assert split_docstring("Write f.\n", "f") == ("", "Write f.")


@pytest.mark.parametrize("template", ["raw", "instruct"])
@pytest.mark.parametrize("output", ["    return sum(xs)\n", "\n    return 1\n", "def mean(xs):\n    return 2\n", ""])
def test_generation_sees_the_tokens_that_training_showed(template: str, output: str, tiny: dict[str, ModelRef]) -> None:
    tokenizer = load_tokenizer(tiny["llama"])
    prompt = training_prompt(dataclasses.replace(ROW, instruction=PROMPT), template)
    alone = tokenizer(prompt)["input_ids"]
    assert tokenizer(prompt + output)["input_ids"][: len(alone)] == alone


def test_minicodes_evaluation_prompt_has_the_tokens_of_its_training_prompt(tiny: dict[str, ModelRef]) -> None:
    tokenizer = load_tokenizer(tiny["gpt_bigcode"])
    trained = training_prompt(dataclasses.replace(ROW, instruction=PROMPT), "raw")
    assert tokenizer(trained)["input_ids"] == tokenizer(show(tuned=True, template="raw"))["input_ids"]
