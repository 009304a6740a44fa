"""What a model reads: the study's instruction template, and prompts for training and evaluation.

Source: https://github.com/eth-sri/SafeCoder/blob/main/safecoder/constants.py and scripts/func_eval_gen.py
(study.md sections 5 and 6). Template ``raw`` is for models whose training prompts are shaped like the evaluated ones
(MiniCode): both are used exactly as they are, so that the tokens at the prompt's end are the same in both.
"""

from __future__ import annotations

import re

from raysweep.errors import UsageError
from raysweep.records import Problem, TrainingRow

ALONE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)
WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
TASK = "Create a Python function for this problem:\n{docstring}"
TEMPLATES = ("instruct", "raw")
FORMATS = ("native", "raw", "instruct")


def instruct(instruction: str, further: str = "") -> str:
    """Fill the instruction template; the variant with an input when `further` holds one."""
    if further:
        return WITH_INPUT.format(instruction=instruction, input=further)
    return ALONE.format(instruction=instruction)


def training_prompt(row: TrainingRow, template: str) -> str:
    """Return what stands before a row's output: the filled template, or for ``raw`` the instruction (and input)."""
    if template == "raw":
        return row.instruction + row.input
    if template == "instruct":
        return instruct(row.instruction, row.input)
    raise UsageError(f"unknown prompt template {template!r}; known: {', '.join(TEMPLATES)}")


def evaluation_prompt(problem: Problem, shown_prompt: str, *, prompt_format: str, tuned: bool, template: str) -> str:
    """Return the text that a model sees for a problem.

    Args:
        problem: the problem, for its entry point.
        shown_prompt: its prompt, clean or perturbed.
        prompt_format: ``native`` (a base model the prompt, a tuned one its training template), ``raw`` (the prompt,
            for all) or ``instruct`` (the instruction template, for all).
        tuned: whether the model was fine-tuned.
        template: the model's, with which its fine-tuned versions are trained.

    A prompt that stands alone is stripped (study.md section 6): a last line break would be a token of its own that
    models don't know there. Under the template ``raw`` it never is, since that is how rows were shown in training.
    """
    if prompt_format not in FORMATS:
        raise UsageError(f"unknown prompt_format {prompt_format!r}; known: {', '.join(FORMATS)}")
    if prompt_format == "instruct" or (prompt_format == "native" and tuned and template == "instruct"):
        signature, docstring = split_docstring(shown_prompt, problem.entry_point)
        return instruct(TASK.format(docstring=docstring)) + signature
    return shown_prompt if template == "raw" else shown_prompt.strip()


def split_docstring(prompt: str, entry_point: str) -> tuple[str, str]:
    r"""Split a prompt into the signature and the docstring, both stripped; the docstring loses four blanks of indent.

    SafeCoder takes the prompt's first ``\"\"\"``; here it is the first after the entry point's ``def``, which differs
    only where a helper before it has a docstring of its own, and ``'''`` counts too. Without a docstring the whole
    prompt counts as one, and the signature is empty.
    """
    define = re.search(rf"\bdef {re.escape(entry_point)}\b", prompt)
    opening = re.compile(r'"""|\'\'\'').search(prompt, define.end() if define else 0)
    if opening is None:
        return "", prompt.strip()
    closing = prompt.find(opening.group(), opening.end())
    docstring = prompt[opening.end() : closing if closing >= 0 else len(prompt)]
    return prompt[: opening.start()].strip(), docstring.replace("\n    ", "\n").strip()
