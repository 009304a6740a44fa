"""Self-Denoising: the evaluated model rewrites a perturbed description itself, before it completes the prompt.

Zhang et al. 2023, https://arxiv.org/abs/2307.07171, rewrite a text with the very model that reads it. The instruction,
the form of the request and the rule of acceptance are assumed here, since CREME's text doesn't print them: only natural
language is replaced, and a rewritten text is taken if it is not empty, has half to twice the length of the perturbed
one, keeps all code in it, closes no docstring, and leaves a prompt that compiles. Otherwise the perturbed text stays,
with the reason.

Nothing here runs a model: `rewriting` states what is asked, and `Rewriting.accept` what becomes of an answer.
"""

from __future__ import annotations

import dataclasses
import os.path
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raysweep.hashing import text_sha
from raysweep.prompts.answers.reasoning import without_reasoning
from raysweep.prompts.templates import RAW, PromptTemplate
from raysweep.records import Decoding, GenerationRequest, PromptRow, Segment

INSTRUCTION = "Correct the spelling, spacing and wording of this text. Change no code, names or examples."
VERSION = 1
"""Of the instruction and of the rule by which answers are accepted, for the keys of rewritten prompts."""
DECODING = Decoding(max_new_tokens=256, temperature=0.0)
"""How rewritten texts are drawn."""
HEADS = ("### Text", "### Corrected text")
"""What stands before the perturbed and the rewritten text where a model gets no template."""
DELIMITERS = ('"""', "'''", "*/")
"""What ends a docstring or a comment: text behind it would be code."""
SHORTEST, LONGEST = 0.5, 2.0
"""Least and most length of a rewritten text, in lengths of the perturbed one."""

ACCEPTED = "accepted"
EMPTY = "empty"
LENGTH = "less than half as long, or over twice as long"
CODE = "code, a name or an example changed"
BROKEN = "the prompt doesn't compile"
NO_TEXT = "no natural language"
"""What became of an answer; `NO_TEXT`: nothing was asked."""


@dataclass(frozen=True)
class Rewritten:
    """A row after rewriting.

    `row`: with the rewritten prompt, or as it was. `reason`: `ACCEPTED`, or why the perturbed text stays.
    """

    row: PromptRow
    reason: str


@dataclass(frozen=True)
class Rewriting:
    """A perturbed prompt whose description a model rewrites.

    `before`, `after`: the prompt around the description. `pieces`: of the description, natural ones at both ends; empty
    if the prompt has no natural language.
    """

    row: PromptRow
    before: str
    pieces: tuple[Segment, ...]
    after: str

    @property
    def text(self) -> str:
        """The description as the model gets it: its lines without their common indentation."""
        first, *lines = "".join(piece.text for piece in self.pieces).split("\n")
        return "\n".join([first, *(line.removeprefix(self._margin) for line in lines)])

    def request(self, template: PromptTemplate, stop: Sequence[str] = ()) -> GenerationRequest | None:
        """Return what the model is asked, to be drawn with `DECODING`; None if there is nothing to rewrite.

        `template`: in which the model gets instructions; with ``raw`` it continues a text with headings.
        """
        if not self.pieces:
            return None
        if template.name == RAW:
            prompt = f"{INSTRUCTION}\n\n{HEADS[0]}\n{self.text}\n\n{HEADS[1]}\n"
            ends = ("\n###", *(() if "\n\n" in self.text else ("\n\n",)))
        else:
            prompt, ends = template.fill(f"{INSTRUCTION}\n\n{self.text}"), ()
        special = template.adds_special_tokens(prompt)
        request_id = f"{self.row.task_id} {text_sha(self.row.prompt)[:12]}"
        opened = template.opened(prompt)
        return GenerationRequest(
            request_id, self.row.task_id, prompt, stop=(*ends, *stop), special_tokens=special, opened=opened
        )

    def accept(self, answer: str, compiles: Callable[[str], bool]) -> Rewritten:
        """Return the row with an answer for its description, or as it was. `compiles`: see `PromptRow.compiles`."""
        if not self.pieces:
            return Rewritten(self.row, NO_TEXT)
        answer = without_reasoning(answer).strip()
        if not answer:
            return Rewritten(self.row, EMPTY)
        if not SHORTEST <= len(answer) / len(self.text.strip()) <= LONGEST:
            return Rewritten(self.row, LENGTH)
        rewritten = self._rebuilt(answer)
        code = "\n".join(piece.text for piece in self.pieces if not piece.natural)
        if rewritten is None or any(rewritten.count(mark) > code.count(mark) for mark in DELIMITERS):
            return Rewritten(self.row, CODE)
        prompt = f"{self.before}{rewritten}{self.after}"
        if not compiles(prompt):
            return Rewritten(self.row, BROKEN)
        changed = prompt != self.row.clean_prompt
        return Rewritten(dataclasses.replace(self.row, prompt=prompt, changed=changed, compiles=True), ACCEPTED)

    @property
    def _margin(self) -> str:
        lines = "".join(piece.text for piece in self.pieces).split("\n")[1:]
        blanks = [line[: len(line) - len(line.lstrip(" \t"))] for line in lines if line.strip()]
        return os.path.commonprefix(blanks)  # noqa: RUF071  # of characters

    def _rebuilt(self, answer: str) -> str | None:
        whole, end = "", 0
        for piece in self.pieces:
            if piece.natural:
                continue
            found = _pattern(piece.text).search(answer, end)
            if found is None:
                return None
            whole += _indented(answer[end : found.start()], self._margin) + piece.text
            end = found.end()
        return whole + _indented(answer[end:], self._margin)


def rewriting(row: PromptRow, split: Callable[[str], Sequence[Segment]]) -> Rewriting:
    """Return the rewriting of a row.

    Code is what the clean prompt's split says, since a perturbed word may look like a name (``tHe``). Where that code
    isn't in the perturbed prompt, that one's own split counts.

    `split`: splits a prompt of the row's problem into natural language and code, as `ProblemSet.segments` does.
    """
    segments = _located(row.prompt, split(row.clean_prompt)) or list(split(row.prompt))
    natural = [number for number, segment in enumerate(segments) if segment.natural and segment.text.strip()]
    if not natural:
        return Rewriting(row, row.prompt, (), "")
    first, last = natural[0], natural[-1] + 1
    before, after = ("".join(part.text for part in parts) for parts in (segments[:first], segments[last:]))
    start, end = segments[first].text, segments[last - 1].text
    lead, trail = start[: len(start) - len(start.lstrip())], end[len(end.rstrip()) :]
    pieces = segments[first:last]
    pieces[0] = Segment(pieces[0].text.removeprefix(lead), True)
    pieces[-1] = Segment(pieces[-1].text.removesuffix(trail), True)
    return Rewriting(row, before + lead, tuple(pieces), trail + after)


def _located(prompt: str, clean: Sequence[Segment]) -> list[Segment] | None:
    head = clean[0].text if clean and not clean[0].natural else ""
    tail = clean[-1].text if len(clean) > 1 and not clean[-1].natural else ""
    if not (prompt.startswith(head) and prompt.endswith(tail) and len(head) + len(tail) <= len(prompt)):
        return None
    segments, text, end = [Segment(head, False)], prompt[len(head) : len(prompt) - len(tail)], 0
    for segment in clean[1 if head else 0 : len(clean) - (1 if tail else 0)]:
        if segment.natural:
            continue
        found = _pattern(segment.text).search(text, end)
        if found is None:
            return None
        segments += [Segment(text[end : found.start()], True), Segment(found[0], False)]
        end = found.end()
    segments += [Segment(text[end:], True), Segment(tail, False)]
    return [segment for segment in segments if segment.text]


def _indented(text: str, margin: str) -> str:
    first, *lines = text.split("\n")
    return "\n".join([first, *(f"{margin}{line}" if line.strip() else line for line in lines)])


def _pattern(code: str) -> re.Pattern[str]:
    """Return a pattern for a piece of code as words of its own, with any blanks where it has some."""
    inner = r"\s+".join(re.escape(word) for word in code.split())
    start = r"(?<!\w)" if re.match(r"\s*\w", code) else ""
    end = r"(?!\w)" if re.search(r"\w\s*\Z", code) else ""
    return re.compile(f"{start}{inner}{end}")
