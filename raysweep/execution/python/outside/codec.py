"""Messages between judge and program as bytes: JSON in UTF-8, at most BYTES long.

Malformed is raised for bytes, and by the readers of values for texts, that break a rule of the format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

BYTES = 32 * 2**20
"""Bytes of a message at most."""


class Malformed(ValueError):
    """A text isn't in this format, or is beyond its bounds."""


def encoded(message: object) -> bytes:
    """Return a message as bytes: JSON in UTF-8, where half a surrogate pair is a character like others."""
    return "".join(_write_json(message, 0)).encode("utf-8", "surrogatepass")


def decoded(data: bytes) -> Any:
    """Return the message that `encoded` made bytes of; raise Malformed for other bytes."""
    try:
        text = data.decode("utf-8", "surrogatepass")
        message, end = _read_json(text, 0)
    except (ValueError, RecursionError, StopIteration) as error:
        raise Malformed(f"not a message: {type(error).__name__}") from None
    if end != len(text):
        raise Malformed("more than one message")
    return message


def _refuse_constant(name: str) -> None:
    raise Malformed(f"a number is {name}")


def _json_writer() -> Callable[[Any, int], Iterable[str]]:
    """Return `json`'s own writer of values, ready made: making it for each message costs more than writing most."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without `_json`
        whole = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
        return lambda value, level: [whole.encode(value)]
    writer: Callable[[Any, int], Iterable[str]] = make(
        None, None, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return writer


_write_json = _json_writer()
_read_json: Callable[[str, int], tuple[Any, int]] = vars(json.JSONDecoder(parse_constant=_refuse_constant))["scan_once"]
