"""Finds instruction and response in training rows, in the shapes in which data sets have them.

Besides raysweep's own columns these are ``prompt`` and ``completion`` (texts, or lists of messages as TRL has them),
``prompt`` and ``chosen`` (TRL's preferences), ``messages`` with ``role`` and ``content`` (OpenAI's), and
``conversations`` with ``from`` and ``value`` (ShareGPT's). A prompt may be a text where the answer is a list of
messages. A conversation must be one question and its answer, since a model is trained on one response to one
instruction.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from raysweep.errors import UsageError
from raysweep.rows.json_files import JsonRow

INSTRUCTION, OUTPUT = "instruction", "output"
SHAPES: tuple[tuple[str, ...], ...] = (
    ("messages",),
    ("conversations",),
    ("prompt", "completion"),
    ("prompt", "chosen"),
)
"""The columns of each further shape."""
_USERS, _MODELS = frozenset({"user", "human"}), frozenset({"assistant", "gpt", "model", "chatgpt"})


def further_shape(columns: Collection[str]) -> tuple[str, ...]:
    """Return the columns of the shape that rows have in place of raysweep's own; empty if they have none of them."""
    if INSTRUCTION in columns:
        return ()
    return next((shape for shape in SHAPES if set(shape) <= set(columns)), ())


def instruction_and_output(row: JsonRow) -> tuple[str, str]:
    """Return the instruction and the response of a row; raise UsageError (its place) where it has none to train on."""
    shape = further_shape(row.fields)
    if not shape:
        return row.text(INSTRUCTION), row.text(OUTPUT)
    if len(shape) == 2 and all(isinstance(row.fields[name], str) for name in shape):
        return row.text(shape[0]), row.text(shape[1])
    return _turns(row, shape)


def rejected_response(row: JsonRow, field: str | None) -> str | None:
    """Return the rejected response of a row, a text or a list of messages that ends with it.

    None without a field, and for a row that has nothing there.

    Raises:
        UsageError: what the row has there is no response.
    """
    if field is None or row.fields.get(field) is None:
        return None
    if isinstance(row.fields.get(field), list):
        messages = _messages(row, field)
        if messages and messages[-1][0] in _MODELS:
            return messages[-1][1]
        raise UsageError(f"{row.place}: `{field}` must end with a model's message, which is the rejected response")
    return row.text(field)


def _turns(row: JsonRow, shape: tuple[str, ...]) -> tuple[str, str]:
    """Return the question and the answer that the messages in some columns, joined, consist of."""
    messages: list[tuple[str, str]] = []
    for name in shape:
        is_question = name == "prompt" and isinstance(row.fields[name], str)
        messages += [("user", row.text(name))] if is_question else _messages(row, name)
    roles = [role for role, _ in messages]
    if len(roles) == 2 and roles[0] in _USERS and roles[1] in _MODELS:
        return messages[0][1], messages[1][1]
    way = "split it into rows of one question and its answer"
    if "system" in roles:
        way = "take the system message out, and give its text to the models as `system_prompt`"
    shown = ", ".join(roles) or "none"
    raise UsageError(f"{row.place}: a row must have a user's message and its answer, not {shown:.60}; {way}")


def _messages(row: JsonRow, name: str) -> list[tuple[str, str]]:
    value: Any = row.fields[name]
    messages = []
    for message in value if isinstance(value, list) else [None]:
        fields = message if isinstance(message, dict) else {}
        role = fields.get("role") or fields.get("from")
        text = fields.get("value") if fields.get("content") is None else fields.get("content")
        if not isinstance(role, str) or not isinstance(text, str):
            raise UsageError(
                f"{row.place}: `{name}` must be a list of messages with `role` and `content`, or `from` and `value`, "
                f"not {value!r:.60}"
            )
        JsonRow(row.place, {name: text}).text(name)  # refuses half a surrogate pair
        messages.append((role, text))
    return messages
