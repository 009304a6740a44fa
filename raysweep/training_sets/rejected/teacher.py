"""What a teacher of rejected responses is asked, and what of its answer becomes the rejected response.

The study (FAIT, also FGIT: arXiv 2503.16913, section 3.1) had Qwen2.5-Coder-32B-Instruct write one incorrect variant of
each response. Its paper says only that answers come "in markdown format for consistent post-processing". Here the
teacher's code takes the place of the response's code and all else of the response stays, so that the differences lie in
the code. What an answer consists of is read by `raysweep.prompts.answers`.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from itertools import chain
from typing import Final

from raysweep.errors import HopelessError
from raysweep.prompts.answers.extraction import extracted
from raysweep.prompts.answers.found import Found
from raysweep.prompts.answers.markdown import block_margin, block_spans, code_blocks
from raysweep.prompts.answers.reasoning import without_reasoning
from raysweep.prompts.answers.ways import Extract
from raysweep.records import Decoding, Problem, SourceRow
from raysweep.training_sets.rejected.pair_filters import Variant, is_same_code
from raysweep.units import count

PROMPT = """\
Please generate an incorrect response based on the provided question and correct answer. The response should be \
similar to the correct answer while introducing subtle but meaningful errors that appear plausible at first glance. \
Present your output in markdown format.

Question:

```text
{instruction}
```

Correct response:

```
{response}
```"""
"""The study's own prompt, word for word: figure 3 of arXiv 2503.16913. The text at hand doubles the fences around the
two fields, so these are reconstructed."""
DECODING = Decoding(max_new_tokens=1024, temperature=0.8, seed=0)
"""How answers are drawn by default; the temperature is the study's."""
VERSION = 2
"""Raise it whenever the same row and answer give another rejected response."""
BLOCK: Final = "block"
ANSWER: Final = "answer"
"""What of an answer becomes the response: its code, in the place of the response's code, or always all of it."""

SHOWN, SHOWN_CHARACTERS = 3, 160
"""Answers without code that an error shows, and how much of each."""

IN_PLACE = "its code in the place of the response's block"
BODY = "the body of its function"
ALONE = "its only block, without the fence"
WHOLE = "its whole answer"
"""How a response came out of an answer, in words."""


def teacher_prompt(row: SourceRow) -> str:
    instruction = "\n\n".join(filter(None, row.prompt_texts))
    return PROMPT.format(instruction=instruction, response=row.output)


def taught(row: SourceRow, answer: str, text: str = BLOCK, *, is_cut: bool = False) -> Variant:
    """Return the response that a teacher's answer gives for a row.

    - A row in HumanEval's form, whose response is the body of a function: the body of that function in the answer.
    - One block of code in the response: the answer's code takes its place; of several blocks the one that is most like
      it.
    - No block in the response: the answer's only block, without its fence.
    - Else, and with `ANSWER`: the whole answer.

    A block that is the response's own code, which an answer may quote, counts only where no other differs from it.
    Reasoning between tags is no part of an answer.

    `text`: `BLOCK` or `ANSWER`. `is_cut`: the answer ended at its most tokens.
    """
    answer = without_reasoning(answer.replace("\r\n", "\n")).strip("\n")
    spans = [] if row.entry_point else block_spans(row.output)
    own = row.output[slice(*spans[0])] if len(spans) == 1 else row.output
    blocks = [block.readings[0] for block in code_blocks(answer)]
    blocks = [block for block in blocks if not is_same_code(row, block, own)] or blocks
    lacks_fence = bool(spans) and not blocks
    if text == BLOCK and row.entry_point and (body := _body(row, _without_quotes(row, answer))):
        return Variant(_ended_as(row.output, body), BODY, is_cut=is_cut)
    if text == BLOCK and len(spans) == 1 and blocks:
        return Variant(_replaced(row.output, spans[0], blocks), IN_PLACE, is_cut=is_cut)
    if text == BLOCK and not spans and len(blocks) == 1:
        return Variant(_ended_as(row.output, blocks[0]), ALONE, is_cut=is_cut)
    return Variant(_ended_as(row.output, answer), WHOLE, lacks_fence, is_cut)


class FenceCheck:
    """Counts a teacher's answers without a block of code, which are too many if more than half of the rows have them.

    `first`: after so many answers, they are judged by themselves, so that hours of work don't come to nothing.
    """

    def __init__(self, teacher: str, rows: int, first: int | None = None) -> None:
        self._teacher, self._rows, self._first = teacher, rows, first
        self._seen, self._lacking = 0, list[str]()

    def add(self, name: str, answer: str) -> None:
        """Count a row's answer; `name`: of the row.

        Raises:
            HopelessError: the answers without a block are too many. It shows three of them.
        """
        self._seen += 1
        if not code_blocks(without_reasoning(answer)):
            self._lacking.append(f"{name}: {answer[:SHOWN_CHARACTERS]!r}" if len(self._lacking) < SHOWN else name)
        if 2 * len(self._lacking) <= (self._seen if self._seen == self._first else self._rows):
            return
        of = f"{'the first ' if self._seen < self._rows else ''}{count(self._seen, 'answer')}"
        raise HopelessError(
            f"{len(self._lacking):,} of {of} of the teacher {self._teacher} have no code fence: it doesn't answer in "
            "Markdown, or its answers were cut (`max_new_tokens`). Take another teacher or template, or use whole "
            "answers by `rejected_text: answer` and `filters` without `fence`. The first of them are "
            f"{'; '.join(self._lacking[:SHOWN])}"
        )


def _without_quotes(row: SourceRow, answer: str) -> str:
    """Return an answer without the blocks that are a row's own function, if another block is left."""
    spans = block_spans(answer)
    quotes = [span for span in spans if is_same_code(row, answer[slice(*span)], row.output)]
    for start, end in reversed(quotes if len(quotes) < len(spans) else []):
        answer = answer[:start] + answer[end:]
    return answer


def _replaced(response: str, span: tuple[int, int], blocks: list[str]) -> str:
    """Return a response with the block that is most like its own code in the place of that, as indented as that."""
    from rapidfuzz.distance import Indel

    start, end = span
    code, margin = response[start:end], block_margin(response, span)
    own, *theirs = [_without_margin(each, margin) for each in (code, *blocks)]
    nearest = max(theirs, key=lambda block: Indel.normalized_similarity(block, own))
    return response[:start] + _ended_as(code or "\n", textwrap.indent(nearest, margin)) + response[end:]


def _without_margin(code: str, margin: str) -> str:
    lines = code.splitlines(keepends=True)
    if not all(line.startswith(margin) for line in lines if line.strip(" \t>\r\n")):
        return code
    return "".join(line.removeprefix(margin) for line in lines)


def _ended_as(text: str, new: str) -> str:
    """Return a new text with the line ends of another one, and the white space at its end."""
    kept = new.rstrip()
    if "\r\n" in text:
        kept = kept.replace("\n", "\r\n")
    return kept + text[len(text.rstrip()) :] if kept else ""


def _body(row: SourceRow, answer: str) -> str:
    """Return the body of the function that a row asks for, as an answer has it; empty if it has none.

    What the answer imports or defines beside that function for its use follows the body: without it a right answer
    would fail.
    """
    problem = Problem(row.row_id, row.instruction, row.entry_point, "", language=row.language or "python")
    found = extracted(problem, answer, Extract.AUTO)
    program = found.program.text
    if found.found is Found.NOTHING:
        return ""
    if program.startswith(row.instruction):
        return program[len(row.instruction) :]
    try:
        statements = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError):
        return ""
    functions = [each for each in statements if isinstance(each, ast.FunctionDef) and each.name == row.entry_point]
    lines = program.split("\n")
    if not functions or not (body := _body_lines(functions[-1], lines)):
        return ""
    read = [{node.id for node in ast.walk(each) if isinstance(node, ast.Name)} for each in statements]
    readers = Counter(chain.from_iterable(read))
    used = [
        each
        for each, own in zip(statements, read, strict=True)
        if any(readers[name] > (name in own) for name in _bound(each))  # another statement reads it
    ]
    beside = (each for each in used if row.entry_point not in _bound(each))
    further = ["\n".join(lines[_first_line(each) - 1 : each.end_lineno]) for each in beside]
    return "\n\n\n".join(["\n".join(body), *(text for text in further if text not in row.instruction)])


def _body_lines(function: ast.FunctionDef, lines: list[str]) -> list[str]:
    """Return the lines of a function's body from the first comment or statement after its docstring; none in a line."""
    body, header = function.body, function.lineno
    if ast.get_docstring(function) is not None and len(body) > 1:
        header, body = body[0].end_lineno or header, body[1:]
    first = _first_line(body[0]) - 1
    while first > header and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return lines[first : function.end_lineno] if first >= function.lineno else []


def _first_line(statement: ast.stmt) -> int:
    """Return the number of a statement's first line, which for a definition is that of its first decorator."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return set()
