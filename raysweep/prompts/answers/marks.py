"""Marks that models put around code beside Markdown's fences: tags, words in brackets, and control tokens.

``[BEGIN]`` and ``[DONE]`` are those of MBPP's prompt (https://arxiv.org/abs/2108.07732), ``[PYTHON]`` of CodeLlama,
``<|python_tag|>`` of Llama 3.1; ``<tool_call>`` and ``<parameter=code>`` are Qwen's. A line that is a mark alone is no
code, though ``[BEGIN]`` parses as Python. Here what stands between two marks becomes a block of code.
"""

from __future__ import annotations

import re

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
_BRACKETS = re.compile(rf"^[ \t]*\[/?(?:[A-Z][A-Z_ ]+|{_WORDS})\]", re.MULTILINE)
_LONE_BRACKETS = re.compile(rf"^[ \t]*\[(?:/?(?:{_WORDS})|DONE|END)\][ \t]*$", re.MULTILINE)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CALL = re.compile(
    r"<\|python_(?:tag|start|end)\|>|</?tool_calls?>|</?(?:code|answer|response|execute)>|<\|/?tool_calls?\|>"
    r"|\[/?(?:TOOL_CALLS|PYTHON|BEGIN|DONE)\]|<[|｜]tool[_▁]calls?[_▁]\w+[|｜]>|<\|(?:START|END)_(?:ACTION|RESPONSE)\|>"
    r"|<\|(?:begin|end)_of_(?:solution|box)\|>"
)
MOST_MARKS = 200
"""Marks of an answer that are read; a text with more is taken as it is written."""


def has_meaning(token: str) -> bool:
    """Return True if a control token says what a text around it is: reasoning, code or a call of a tool.

    Such tokens are kept in completions; others, such as ends of turns, are left out.
    """
    return marks_reasoning(token) or _CALL.fullmatch(token) is not None


def is_marked(text: str) -> bool:
    """Return True if a text has fences, marks around code, or reasoning; most completions have none."""
    return has_fences(text) or has_reasoning(text) or has_marks(text)


def has_marks(text: str) -> bool:
    return ("<" in text or "[" in text) and _MARK.search(text) is not None


def has_bracketed_words(text: str) -> bool:
    """Return True if lines are words in brackets, such as ``[BEGIN]``, which compilers may read as code."""
    return _BRACKETS.search(text) is not None


def fenced(text: str) -> str:
    """Return a text with a fence around what stands between two marks, and without marks.

    A last mark that nothing closes goes on to the end of the text. Blocks of code that have fences stay as they are,
    save lines such as ``[BEGIN]`` in them.
    """
    text = _CDATA.sub(r"\n\1\n", text)
    spans = block_spans(text)
    marks = [mark for mark in _MARK.finditer(text) if not any(start <= mark.start() < end for start, end in spans)]
    if len(marks) > MOST_MARKS:
        return text
    parts, position, is_open = [], 0, False
    for mark in [*marks, None]:
        between = text[position : mark.start() if mark else len(text)]
        closes = mark is None or mark.lastgroup == "closing"
        is_block = is_open and closes and between.strip() != "" and not has_fences(between)
        parts.append(f"\n```\n{between}\n```\n" if is_block else _LONE_BRACKETS.sub("", between))
        if mark is not None:
            position, is_open = mark.end(), mark.lastgroup == "opening"
            parts.append("\n")
    return "".join(parts)
