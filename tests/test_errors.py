"""Errors travel: a worker raises them, the driver shows them."""

from __future__ import annotations

import pickle

import pytest

from raysweep.config.document import ConfigError
from raysweep.errors import ExecutionNotAllowed, RaysweepError, StoreError, UnknownName, UsageError, did_you_mean

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


def test_the_nearest_name_is_offered_and_a_far_one_is_not():
    assert did_you_mean("LAMA", ["llama", "codegen"]) == " (did you mean 'llama'?)"
    assert did_you_mean("zzz", ["llama"]) == ""
    assert did_you_mean("lora-edit", ["lora", "lora_edit", "edit"]) == " (did you mean 'lora_edit'?)"
