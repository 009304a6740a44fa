"""Marks that models put around code beside Markdown's fences: tags, words in brackets, and control tokens.

``[BEGIN]`` and ``[DONE]`` are those of MBPP's prompt (https://arxiv.org/abs/2108.07732), ``[PYTHON]`` of CodeLlama,
``<|python_tag|>`` of Llama 3.1; ``<tool_call>`` and ``<parameter=code>`` are Qwen's. A line that is a mark alone is no
code, though ``[BEGIN]`` parses as Python. Here what stands between two marks becomes a block of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from raysweep.prompts.answers.markdown import block_spans, has_fences
from raysweep.prompts.answers.reasoning import has_reasoning, marks_reasoning

_CODE = (
    r"code|python3?|py|java|cpp|program|script|solution|answer|final|final_(?:answer|solution|code)|implementation"
    r"|execute(?:_\w+)?|response|output|result|submit|pre|completion"
    r"|tool|tool_calls?|function|function_calls?|invoke|parameters?|arguments|arg_(?:key|value)"
)
_WORDS = r"BEGIN|START|PYTHON|CODE|JAVA|CPP|ANSWER|ANS|SOLUTION|PROGRAM|IMPLEMENTATION|TOOL_CALLS?"
_NAME = r"[A-Za-z][\w:.-]*(?:[ =][^<>\n]*)?"
_REST = r"[^<>|｜\n]"
_ENDS = rf"(?i:(?:/|end|eo[mst]|im_end|return){_REST}{{0,40}}|call|{_REST}{{1,40}}[_▁]end)"
_CLOSING_TOKEN = rf"(?<![\"'])(?:<[|｜]{_ENDS}[|｜]>|</s>[ \t]*$)(?![\"'])"
_OPENING_TOKEN = rf"(?<![\"'])<[|｜][a-zA-Z]{_REST}{{0,40}}[|｜]>(?![\"'])"
_CLOSING = (
    rf"(?:</(?:{_CODE})>[ \t]{{0,9}}){{1,4}}$|\[/(?:{_WORDS})\][ \t]*$|^[ \t]*\[(?:DONE|END)\][ \t]*$|{_CLOSING_TOKEN}"
)
_OPENING = rf"^[ \t]*(?:<(?:{_CODE})(?:[ =][^<>\n]*)?>[ \t]*){{1,4}}|^[ \t]*\[(?:{_WORDS})\]|{_OPENING_TOKEN}"
_LINE = rf"^[ \t]*(?:</?{_NAME}>|\[/?[A-Z][A-Z_ ]+\])[ \t]*$"
_MARK = re.compile(rf"(?P<closing>{_CLOSING})|(?P<opening>{_OPENING})|(?P<line>{_LINE})", re.MULTILINE)
_LONE_BRACKETS = re.compile(r"[ \t]*\[/?[A-Z][A-Z_ ]+\][ \t]*")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_LAST_TOKENS = re.compile(rf"(?:\s*(?!<[^>]*(?i:think|thought))(?:<[|｜]{_ENDS}[|｜]>|</s>))+\s*\Z")
_LONGEST_END = 200
"""Characters at the end of an answer among which tokens end it."""
_TAG_NAME = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(
    r"<\|python_(?:tag|start|end)\|>|</?tool_calls?>|</?(?:code|answer|response|execute)>|<\|/?tool_calls?\|>"
    r"|\[/?(?:TOOL_CALLS|PYTHON|BEGIN|DONE)\]|<[|｜]tool[_▁]calls?[_▁]\w+[|｜]>|<\|(?:START|END)_(?:ACTION|RESPONSE)\|>"
    r"|<\|(?:begin|end)_of_(?:solution|box)\|>"
)
_OF_CALLS = re.compile(r"(?i)tool|function|invoke|parameter|python_tag|eom_id|action")
DSML = "｜DSML｜"
"""Stands in the tags of DeepSeek-V3.2 before their names."""
MOST_MARKS = 200
"""Marks of an answer that are read; a text with more is taken as it is written."""
MOST_INSIDES = 8
"""Marks of an answer for which the last one that closes them is looked for."""


def has_meaning(token: str) -> bool:
    """Return True if a control token says what a text around it is: reasoning, code or a call of a tool.

    Such tokens are kept in completions; others, such as ends of turns, are left out.
    """
    return marks_reasoning(token) or _CALL.fullmatch(token) is not None


def has_meanings(text: str) -> bool:
    """Return True if a text has marks such as these, whether or not they are control tokens."""
    return has_reasoning(text) or _CALL.search(text) is not None


def is_marked(text: str) -> bool:
    """Return True if a text has fences, marks around code, or reasoning; most completions have none."""
    return has_fences(text) or has_reasoning(text) or has_marks(text) or DSML in text


def with_plain_tags(text: str) -> str:
    """Return a text with ``<parameter name="code">`` for ``<｜DSML｜parameter name="code">``, and so on."""
    return text.replace(f"<{DSML}", "<").replace(f"</{DSML}", "</")


def has_marks(text: str) -> bool:
    return ("<" in text or "[" in text) and _MARK.search(text) is not None


def without_brackets(text: str) -> tuple[str, ...]:
    """Return a text as it is, without lines such as ``[BEGIN]`` at its ends, and without all of these."""
    if "[" not in text:
        return (text,)
    lines = text.split("\n")
    are_marks = [_LONE_BRACKETS.fullmatch(line) is not None for line in lines]
    kept = [at for at, line in enumerate(lines) if line.strip() and not are_marks[at]]
    inner = "\n".join(lines[kept[0] : kept[-1] + 1]) if kept and any(are_marks) else text
    every = "\n".join(line for line, is_mark in zip(lines, are_marks, strict=True) if not is_mark)
    has_end_marks = any(are_marks) and (any(are_marks[: kept[0]]) or any(are_marks[kept[-1] :]) if kept else True)
    return tuple(dict.fromkeys([text, *([inner] if has_end_marks else []), every]))


def without_end(text: str) -> str:
    """Return a text without tokens such as ``<|im_end|>`` at its end, which no fence or string goes on behind."""
    found = _LAST_TOKENS.search(text[-_LONGEST_END:])
    return text[: found.start() - len(text[-_LONGEST_END:])] if found else text


def mark_spans(text: str) -> list[tuple[int, int]]:
    """Return where marks stand outside blocks of code."""
    return [mark.span() for mark in _marks(text)]


def insides(text: str) -> Iterator[str]:
    """Yield what stands between a mark and the last one that closes it, if neither marks nor fences follow."""
    marks = _marks(text)
    if len(marks) > MOST_MARKS:
        return
    openings = [mark for mark in marks if mark.lastgroup == "opening"]
    for mark in openings[:MOST_INSIDES]:
        names = _names(mark)
        ends = [
            one for one in marks if one.lastgroup == "closing" and one.start() > mark.start() and names & _names(one)
        ]
        if ends and openings[-1].start() < ends[-1].start() and not has_fences(text[ends[-1].end() :]):
            yield text[mark.end() : ends[-1].start()]


def behind_calls(text: str) -> str:
    """Return what stands behind calls of tools, and what these gave back, without fences; empty if there are none."""
    marks = _marks(text)
    if len(marks) > MOST_MARKS or not any(_OF_CALLS.search(mark[0]) for mark in marks):
        return ""
    behind = text[marks[-1].end() :]
    return "" if marks[-1].lastgroup == "opening" or has_fences(behind) else behind


def fenced(text: str) -> str:
    """Return a text with a fence around what stands between two marks, and without marks.

    A last mark that nothing closes goes on to the end of the text, and one with a name is closed by its own name if
    that follows. Blocks of code that have fences stay as they are.
    """
    text = _without_cdata(text)
    marks = _marks(text)
    if len(marks) > MOST_MARKS:
        return text
    last = {name: mark.start() for mark in marks if mark.lastgroup == "closing" for name in _names(mark)}
    parts, position, is_open, opened = [], 0, False, set[str]()
    for mark in [*marks, None]:
        closes = mark is None or mark.lastgroup == "closing"
        is_foreign = mark is not None and closes and is_open and not opened & _names(mark)
        if mark is not None and is_foreign and any(last.get(name, -1) > mark.start() for name in opened):
            continue
        between = text[position : mark.start() if mark else len(text)]
        is_block = is_open and closes and between.strip() != "" and not has_fences(between)
        parts.append(f"\n```\n{between}\n```\n" if is_block else between)
        if mark is not None:
            position, is_open, opened = mark.end(), mark.lastgroup == "opening", _names(mark)
            parts.append("\n")
    return "".join(parts)


def _marks(text: str) -> list[re.Match[str]]:
    spans = block_spans(text) if has_fences(text) else []
    return [mark for mark in _MARK.finditer(text) if not any(start <= mark.start() < end for start, end in spans)]


def _names(mark: re.Match[str]) -> set[str]:
    names = {name.lower() for name in _TAG_NAME.findall(mark[0])}
    return {"begin", "start"} if mark[0].strip() in ("[DONE]", "[END]") else names


def _without_cdata(text: str) -> str:
    """Return a text with lines of their own for what ``<![CDATA[...]]>`` holds, outside blocks of code and strings."""
    if _CDATA not in text:
        return text
    spans, parts, position = block_spans(text), list[str](), 0
    start = text.find(_CDATA)
    while start >= 0 and (end := text.find(_CDATA_END, start)) >= 0:
        if text[:start][-1:] not in ("'", '"') and not any(first <= start < last for first, last in spans):
            parts += [text[position:start], "\n", text[start + len(_CDATA) : end], "\n"]
            position = end + len(_CDATA_END)
        start = text.find(_CDATA, end)
    return "".join([*parts, text[position:]])
