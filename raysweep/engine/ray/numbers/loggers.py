"""Makes the loggers of Ray Tune that a config names; they run in the process of the command."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.config.fields import SpecConfig
from raysweep.config.loggers import LOGGERS
from raysweep.errors import UsageError


def make_loggers(specs: Sequence[SpecConfig]) -> list[Any]:
    """Return Tune's callbacks: the one that writes result.json, which Tune's own analysis reads, and those named.

    Raises:
        UsageError: a logger's package isn't installed, or it doesn't take its arguments.
    """
    from ray.tune.logger import JsonLoggerCallback

    return [JsonLoggerCallback(), *map(_make, specs)]


def _make(spec: SpecConfig) -> Any:
    known, arguments = LOGGERS[spec.name], dict(spec.model_extra or {})
    place = f"`loggers`: {spec.name!r}"
    if importlib.util.find_spec(known.package) is None:
        raise UsageError(f"{place} needs the package {known.package}: pip install {known.pip}, or remove it")
    with _torch_hidden() if known.package == "tensorboardX" else contextlib.nullcontext():
        importlib.import_module(known.package)
    callback = getattr(importlib.import_module(known.module), known.callback)
    try:
        inspect.signature(callback).bind(**arguments)
    except TypeError as error:
        raise UsageError(f"{place}: {error}; {known.callback} of Ray takes {inspect.signature(callback)}") from None
    return callback(**arguments)


@contextlib.contextmanager
def _torch_hidden() -> Iterator[None]:
    """Save the seconds of tensorboardX's import of torch, to take tensors for numbers: raysweep logs numbers."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
