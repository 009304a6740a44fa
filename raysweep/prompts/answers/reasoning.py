"""Finds reasoning in what a model wrote, and reasoning that a prompt leaves open for the model to write.

Models mark it with tags (``<think>``), brackets (Mistral's ``[THINK]``), control tokens (Cohere, Gemma 4), channels
(gpt-oss: https://cookbook.openai.com/articles/openai-harmony) or sentences (Granite 3.2, Apriel).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

from raysweep.prompts.answers.markdown import block_spans, has_fences

_NAMES = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|seed:think"
_TAGS = rf"<(?:{_NAMES})(?:\s[^<>\n]*)?>|◁think▷"
_BRACKET = r"(?-i:\[THINK\])"
_CONTROL = (
    r"(?<![\"'`])(?:<\|begin_of_thought\|>|<\|START_THINKING\|>"
    r"|<\|channel\|>analysis\b[^<\n]*<\|message\|>|<\|channel>thought\b)"
)
_BARE = r"(?-i:\Aanalysis(?:(?=[A-Z][a-z']*(?:,| (?![-+*/|&%]?=)))|(?=\s[A-Z][a-z']*[ ,])(?=[\s\S]*assistantfinal)))"
"""How gpt-oss's reasoning begins in a text that has lost its control tokens."""
_ENDS = rf"</(?:{_NAMES})>|\[/THINK\]|<\|end_of_thought\|>|◁/think▷|<\|END_THINKING\|>|<channel\|>"
_MESSAGE = r"[^<\n]*(?:<\|constrain\|>[^<\n]*)?<\|message\|>"
_PROSE = re.compile(
    r"\A\s*(?:Here(?: is|'s) my thought process:|Here are my reasoning steps:)(?P<line>[ \t]*(?:\n|\Z))?", re.IGNORECASE
)
_FINAL = re.compile(r"^[ \t]*\[BEGIN FINAL RESPONSE\]", re.MULTILINE)
_RESPONSE = re.compile(r"^[ \t]*(?i:Here(?: is|'s) my response:)|\[BEGIN FINAL RESPONSE\]", re.MULTILINE)
"""What ends reasoning in prose of Granite 3.2 and Apriel, and of Apriel where the prompt opened it."""
_MARK = re.compile(
    rf"(?P<opening>{_TAGS})|(?P<control>^[ \t]*{_BRACKET}|{_CONTROL}|{_BARE})|(?P<closing>(?<![\"'`])(?:{_ENDS}))"
    rf"|(?P<final><\|channel\|>final\b{_MESSAGE}|assistantfinal)"  # with and without control tokens
    rf"|(?P<aside><\|channel\|>commentary\b{_MESSAGE})",  # seen by users
    re.IGNORECASE | re.MULTILINE,
)
_END_AT_FENCE = re.compile(rf"^([ \t]*`{{3,}})(?={_ENDS})", re.IGNORECASE | re.MULTILINE)
"""A fence that closes a block, with an end of reasoning on its line."""
HINTS = ("think", "thought", "reasoning", "reflection", "scratchpad", "channel", "assistantfinal", "analysis")
"""Texts of which one is in each mark, whatever its capitals."""
_BEGUN = r"<\|channel\|>analysis(?=\s*\Z)|Here are my reasoning steps:(?=\s*\Z)"
_OPENED = re.compile(
    rf"(?P<mark>{_TAGS}|{_BRACKET}|{_CONTROL}|{_BEGUN})(?:(?P<blanks>\s*)\Z)?|(?P<end>{_ENDS})", re.IGNORECASE
)
_TOKEN = re.compile(
    rf"{_TAGS}|{_BRACKET}|{_CONTROL}|{_ENDS}|<\|(?:channel|message|constrain)\|>|<\|channel>", re.IGNORECASE
)
_TEXT = re.compile(r"(\"{3}|'{3}|(?<!\w)[\"']|(?<![a-zA-Z])(?<=[rbfuRBFU])[\"'])(?:\\.|(?!\1).)*\1")
_OPEN_TEXT = re.compile(
    r"(?:^|[ \t])# |(?:^|[;{},])[ \t]*//|^[ \t]*/?\*\*? |\"{3}|'{3}|(?<!\w)[\"']|\b[rbfuRBFU]{1,2}[\"']"
)
"""What opens a text or a comment in a line whose other texts were left out."""
_LONGEST_LINE = 400
"""Characters of a line before a mark that are looked at."""
_MOST_LOOKS = 16
"""Ends of reasoning behind which blocks of code are looked for."""
_LONGEST = 200
"""Characters at the end of a prompt among which reasoning is opened."""
_CLOSINGS = {
    "[think]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|start_thinking|>": "<|END_THINKING|>",
    "<|channel>thought": "<channel|>",
    "here are my reasoning steps:": "\n[BEGIN FINAL RESPONSE]\n",
    "<|channel|>analysis": "<|message|><|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}
"""What closes reasoning at once, where it is no pair of tags on lines of their own."""


def has_reasoning(text: str) -> bool:
    """Return True if a text has marks of reasoning. It takes microseconds."""
    lowered = text.lower()
    is_hinted = any(hint in lowered for hint in HINTS)
    return (is_hinted and bool(_MARK.search(text) or _PROSE.match(text))) or _FINAL.search(text) is not None


def reasoning_spans(text: str) -> list[tuple[int, int]]:
    """Return where marks of reasoning stand, also such as are part of a program."""
    return sorted(mark.span() for pattern in (_MARK, _FINAL) for mark in pattern.finditer(text))


def marks_reasoning(token: str) -> bool:
    """Return True if a control token marks reasoning, or says in which channel a model writes."""
    return _TOKEN.fullmatch(token) is not None


def without_reasoning(
    text: str, is_code: Callable[[str], bool] = lambda _: False, is_answer: Callable[[str], bool] = lambda _: False
) -> str:
    """Return a text without its reasoning. The first tag of reasoning begins a line; control tokens need not.

    What comes before a closing tag that nothing opened is reasoning too, since some templates open it in the prompt,
    and so is all that follows an opening tag that nothing closes: such an answer was cut before it began. Marks in
    blocks of code count as far as these aren't code (`is_code`), which has them in texts and comments, and so do those
    behind closed reasoning in what isn't a program (`is_answer`).
    """
    text = _without_prose(_END_AT_FENCE.sub(r"\1\n", text), is_code)
    kept: list[str] = []
    position, is_open = 0, False
    marks, blocks = list(_MARK.finditer(text)), _Blocks(text, is_code)
    last_closing = max((mark.start() for mark in marks if mark.lastgroup == "closing"), default=-1)
    passed = -1  # where an opening ends that doesn't count
    for number, mark in enumerate(marks):
        least = max(position, mark.start() - _LONGEST_LINE)
        line = text[max(least, text.rfind("\n", least, mark.start()) + 1) : mark.start()]
        is_opening = mark.lastgroup == "opening"
        if not is_open and ((is_opening and line.strip()) or blocks.hold(mark, position, last_closing)):
            passed = mark.end() if is_opening else passed
        elif not is_open and not is_opening and (_is_in_text(line) or passed > mark.start() - len(line)):
            passed = -1
        elif is_opening or mark.lastgroup == "control":
            if not is_open:
                kept.append(text[position : mark.start()])
                position, is_open = mark.end(), True
        elif mark.lastgroup == "closing":
            kept = kept if is_open else []
            position, is_open = mark.end(), False
            if number + 1 < len(marks) and number < _MOST_LOOKS and is_answer(text[position:]):
                break
        elif mark.lastgroup == "aside":
            kept += [] if is_open else [text[position : mark.start()]]
            position, is_open = mark.end(), False
        elif mark[0].startswith("<") or text.startswith("analysis"):
            kept, position, is_open = [], mark.end(), False
    return "".join(kept if is_open else [*kept, text[position:]])


def _without_prose(text: str, is_code: Callable[[str], bool]) -> str:
    """Return a text without reasoning that sentences mark; what opens it is at the text's beginning or in its prompt.

    It is cut where nothing ends it and what opens it is a line of its own.
    """
    opened = _PROSE.match(text)
    spans = block_spans(text) if has_fences(text) else []
    for end in islice((_RESPONSE if opened else _FINAL).finditer(text), _MOST_LOOKS):
        block = next((text[start:stop] for start, stop in spans if start <= end.start() < stop), None)
        if block is None or not is_code(block):
            return text[end.end() :]
    return "" if opened and opened["line"] else text


class _Blocks:
    """The blocks of code of a text outside reasoning, looked for anew where reasoning ends."""

    def __init__(self, text: str, is_code: Callable[[str], bool]) -> None:
        self._text, self._is_code, self._left = text, is_code, _MOST_LOOKS
        self._position, self._spans, self._known = -1, list[tuple[int, int]](), dict[int, tuple[bool, bool]]()

    def hold(self, mark: re.Match[str], position: int, last_closing: int) -> bool:
        """Return True if a mark is part of the code of a block that begins behind `position`."""
        if position != self._position:
            self._position, self._known, self._left = position, {}, self._left - 1
            is_read = self._left >= 0 and has_fences(self._text)
            found = block_spans(self._text[position:]) if is_read else []
            self._spans = [(start + position, end + position) for start, end in found]
        span = next((span for span in self._spans if span[0] <= mark.start() < span[1]), None)
        if span is None:
            return False
        start, end = span
        if start not in self._known:
            inside = (one.lastgroup for one in _MARK.finditer(self._text, start, end))
            kinds = [*islice((kind for kind in inside if kind in ("opening", "closing")), 2)]
            self._known[start] = self._is_code(self._text[start:end]), kinds == ["opening", "closing"]
        is_code, is_pair = self._known[start]
        if is_code or mark.lastgroup == "control" or is_pair:
            return True
        return mark.lastgroup == "opening" and end < len(self._text) and last_closing < mark.start()


def _is_in_text(line: str) -> bool:
    """Return True if a line so far opens a string or a comment of a program; an apostrophe opens none."""
    return _OPEN_TEXT.search(_TEXT.sub("", line)) is not None


def opened_reasoning(prompt: str, written: str = "") -> str:
    """Return the mark with which a prompt opens reasoning, with all that follows it; empty: none does.

    Only blanks may follow it, or words of `written`: the end of the prompt that its template has written.
    """
    is_written = written != "" and prompt.endswith(written)
    marks = list(_OPENED.finditer(written if is_written else prompt[-_LONGEST:]))
    if not marks or marks[-1]["end"]:
        return ""
    before, behind = (marks[-1].string[: marks[-1].start()], marks[-1].string[marks[-1].end() :])
    is_alone = behind[:1] == "\n" or before[-1:] in ("", "\n", ">", "]")  # and not named in a sentence
    is_open = marks[-1]["blanks"] is not None or (is_written and is_alone)
    return f"{marks[-1][0]}{behind}" if is_open else ""


def begins_with_reasoning(text: str) -> bool:
    """Return True if a text begins with a mark that opens reasoning."""
    found = _OPENED.match(text)
    return found is not None and found["mark"] is not None


def mark_of(opened: str) -> str:
    """Return the mark alone of reasoning that a prompt opened (`opened_reasoning`)."""
    found = _OPENED.match(opened)
    assert found is not None
    return found["mark"]


def closing_of(opened: str) -> str:
    """Return what closes reasoning at once that was opened so (`opened_reasoning`): nothing was thought."""
    mark = mark_of(opened)
    if (closing := _CLOSINGS.get(mark.lower())) is not None:
        return closing
    name = re.split(r"[\s>]", mark[1:], maxsplit=1)[0]
    closing = "<|end_of_thought|>" if mark.startswith("<|") else f"</{name}>"
    behind = opened.removeprefix(mark)
    gap = "\n" if behind.strip() else "\n\n".removeprefix(behind)
    return f"{gap}{closing}\n\n"


def thought(reasoning: str, answer: str | None) -> str:
    """Return reasoning and the answer behind it as one text, as models write them. None: it was cut before that."""
    return f"<think>\n{reasoning}" + ("" if answer is None else f"\n</think>\n\n{answer}")
