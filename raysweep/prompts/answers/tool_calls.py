"""Finds code in what calls a tool: JSON, or a call in Python, whose arguments hold it as texts.

Such as ``{"name": "python", "arguments": {"code": "..."}}``, where arguments may be JSON in a text once more, and
``[python(code="...")]`` of Llama.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

from raysweep.prompts.answers.markdown import code_blocks

MOST_OBJECTS = 20
"""Places of a text at which JSON may begin that are tried."""
LONGEST_CALL = 50_000
"""Characters of a call that is read as Python."""
DEEPEST = 4
"""How deep JSON is looked for in texts of JSON."""

_START = re.compile(r"^[ \t]*(?=[\[{])|(?<=[>\]])(?=[\[{])|(?<=[\w:;])[ \t]?(?=\[?\{\")", re.MULTILINE)
_CALL = re.compile(r"\s*(?:[\[{]|\w[\w.]*\()")
_NAMED = re.compile(
    r"code|solution|program|answer|completion|implementation|source|script|content|input|patch|fixed|hunk|replacement",
    re.IGNORECASE,
)
_WEAK = re.compile(r"content|input|lang|type|name|path", re.IGNORECASE)
"""In names beside which a text without a name of code may be the code."""
_DRAFT = re.compile(
    r"thought|reason|expla|analysis|plan|prompt|wrong|incorrect|buggy|before|original|draft", re.IGNORECASE
)
"""In names of what is no answer."""
_DECODER = json.JSONDecoder(strict=False)  # models write line ends in texts


def argument_texts(text: str) -> list[str]:
    """Return the texts that JSON objects and calls hold as values, the likeliest code first.

    Texts with a name such as ``code`` come before others, and later ones before earlier ones. Where such names are,
    others are left out, and so are drafts and explanations where anything else is.
    """
    found = argument_pairs(text)
    named = [is_named(name) for name, _ in found]
    strong = [is_one and _WEAK.search(name) is None for is_one, (name, _) in zip(named, found, strict=True)]
    drafts = [_DRAFT.search(name) is not None for name, _ in found]
    kept = [at for at in range(len(found)) if named[at] or not (any(strong) or (drafts[at] and any(named)))]
    return [found[at][1] for at in sorted(reversed(kept), key=lambda at: (not named[at], drafts[at]))]


def is_named(name: str) -> bool:
    """Return True if a value with this name is code."""
    return _NAMED.search(name) is not None and _DRAFT.search(name) is None


def argument_pairs(text: str) -> list[tuple[str, str]]:
    """Return name and text of the texts that JSON objects and calls hold as values."""
    if '"' not in text and "'" not in text:
        return []
    found: list[tuple[str, str]] = []
    position = 0
    for _ in range(MOST_OBJECTS):
        start = _START.search(text, position)
        if start is None:
            break
        try:
            value, position = _DECODER.raw_decode(text, start.end())
        except (ValueError, RecursionError):
            position = start.end() + 1
            continue
        found += _texts(value, "", 0)
    calls = [text.replace("```", ""), *(block.readings[0] for block in code_blocks(text))]
    return found or [pair for call in calls for pair in _texts_of_call(call)]


def _texts(value: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(one, key, depth)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, name, depth)
    elif isinstance(value, str):
        yield name, value
        if depth < DEEPEST and value.lstrip()[:1] in ("{", "["):
            try:
                inner = _DECODER.decode(value.strip())
            except (ValueError, RecursionError):
                return
            yield from _texts(inner, name, depth + 1)


def _texts_of_call(text: str) -> Iterator[tuple[str, str]]:
    code = text.strip()
    if len(code) > LONGEST_CALL or not _CALL.match(code):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            pairs = [*(("", one) for one in node.args), *((word.arg, word.value) for word in node.keywords)]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, "value", ""), value) for key, value in zip(node.keys, node.values, strict=True)]
        else:
            continue
        for name, value in pairs:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield str(name), value.value
