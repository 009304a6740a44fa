"""Errors travel: a worker raises them, the driver shows them."""

from __future__ import annotations

import pickle

import pytest

from raysweep.config.document import ConfigError
from raysweep.errors import (
    ExecutionNotAllowed,
    RaysweepError,
    StoreError,
    UnknownName,
    UsageError,
    did_you_mean,
    escaped,
)

ERRORS = [
    UnknownName("model", "lama", ["llama", "codegen"]),
    ConfigError("sweep.yaml", ["line 1: a", "line 2: b"]),
    ExecutionNotAllowed(),
    UsageError("bad"),
    StoreError("lost"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert isinstance(error, RaysweepError) and error.exit_code in (1, 2)


def test_what_a_terminal_or_log_would_obey_is_escaped():
    assert escaped("\x1b[2J\r\x9b\u202e\ud800é\t日\n") == "\\x1b[2J\\r\\x9b\\u202e\\ud800é\t日\n"
    assert escaped("a\t\x00\n", in_a_line=True) == r"a\t\x00\n"


def test_the_nearest_name_is_offered_and_a_far_one_is_not():
    assert did_you_mean("LAMA", ["llama", "codegen"]) == " (did you mean 'llama'?)"
    assert did_you_mean("zzz", ["llama"]) == ""
    assert did_you_mean("lora-edit", ["lora", "lora_edit", "edit"]) == " (did you mean 'lora_edit'?)"
