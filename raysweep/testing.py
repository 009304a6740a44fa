"""Tests what every part of raysweep must do, whatever its kind: `contract`, for the tests of authors of parts."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import random
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from raysweep.cli.views.names import FROM_THE_ENGINE, KINDS_OF_EXHIBITS, REGISTRIES
from raysweep.errors import UnknownName, UsageError
from raysweep.hashing import canonical_json
from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.programs import Outcome
from raysweep.records import Decoding, GenerationRequest, PromptRow, Result, Segment, Spec

P = ParamSpec("P")
T = TypeVar("T")

KINDS = [kind for kind in REGISTRIES if kind != KINDS_OF_EXHIBITS]
LONGEST_WAIT = 600.0
"""Seconds after which the other process is taken for hung."""
PROSE = "Write a function that takes several sorted numbers and returns the largest of them.\n  Then print it.\n" * 4
CODE = "\n    return max(numbers)\n"
WRONG = (-1, -1.0, "no such value", False)
"""Values that an argument of their type may refuse."""


def contract(kind: str, name: str, **arguments: Any) -> Any:
    """Build a registered part, hold it to what every part must do, and return it.

    Args:
        kind: as `raysweep list` calls it, such as "perturbations"; not "exhibit-kinds".
        name: the part's registered name.
        arguments: of its constructor. A generator gets `model`, None unless it is given, and `decoding`.

    Raises:
        AssertionError: it breaks its contract; the message says in what.
        UsageError: there is no such kind or name, or the part refuses the arguments.
    """
    if kind not in KINDS:
        raise UnknownName("kind", kind, KINDS)
    registry, spec = REGISTRIES[kind], Spec(name, arguments)
    cls, known = registry.get(name), registry.parameters(name)
    text = inspect.getdoc(cls) or ""
    assert text.partition("\n")[0].endswith(".") and text != inspect.getdoc(registry.base), (
        "the docstring of the class begins with a line that is one sentence: `raysweep list` shows it"
    )
    untyped = [key for key, parameter in known.items() if parameter.annotation is parameter.empty]
    assert not untyped, f"each argument of the constructor has a type annotation; {', '.join(untyped)} has none"
    if known:
        typing.get_type_hints(cls.__init__)  # a NameError: a type isn't imported at run time
    defaults = {key: parameter.default for key, parameter in known.items() if parameter.default is not parameter.empty}
    plain = {key: value for key, value in {**defaults, **arguments}.items() if key not in FROM_THE_ENGINE}
    canonical_json(plain)  # a TypeError: an argument isn't a plain value, so no config can give it and no key hold it

    part = _build(kind, spec)
    key, output = _key(kind, spec), _output(kind, part)
    assert key == _key(kind, spec), "its part of keys, with `fingerprint()`, is the same each time"
    paths = [value for value in arguments.values() if isinstance(value, str) and os.path.exists(value)]  # noqa: PTH110
    assert not [path for path in paths if path in key], "fingerprint() has the hash of a file and not its path"
    with no_global_generator():
        assert _output(kind, part) == output, "equal inputs give equal outputs, and no state is kept between them"
    assert elsewhere(_key_and_output, kind, spec) == (key, output), (
        "another process builds the same part from its name and arguments, with the same fingerprint and outputs"
    )
    _check_refusals(kind, spec, plain)
    return part


def elsewhere(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function of a module gives in another process, whose sets have another order than here."""
    return _other_process().submit(function, *args, **kwargs).result(LONGEST_WAIT)


@cache
def _other_process() -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with patch.dict(os.environ, {"PYTHONHASHSEED": "12345"}):
        pool.submit(int).result(LONGEST_WAIT)
    return pool


@contextmanager
def no_global_generator() -> Iterator[None]:
    """Fail if a block draws from a random generator of the whole process, or seeds it."""
    import numpy

    before = random.getstate(), repr(numpy.random.get_state())
    yield
    assert before == (random.getstate(), repr(numpy.random.get_state())), (
        "randomness comes in as an argument, or from raysweep.seeding, and not from a generator of the whole process"
    )


def _build(kind: str, spec: Spec) -> Any:
    from_the_engine = {"model": None, "decoding": Decoding()} if kind == "generators" else {}
    more = {key: spec.args.get(key, value) for key, value in from_the_engine.items()}
    rest = {key: value for key, value in spec.args.items() if key not in more}
    return REGISTRIES[kind].create(Spec(spec.name, rest), **more)


def _key(kind: str, spec: Spec) -> str:
    """Return as JSON what of a part stands in keys beside its arguments; a TypeError: its fingerprint isn't JSON."""
    part = _build(kind, spec)
    fingerprint = getattr(part, "fingerprint", dict)
    content = fingerprint(dtype="float32", batch_tokens=None) if kind == "generators" else fingerprint()
    return canonical_json({**REGISTRIES[kind].plugin_spec(spec.name), "fingerprint": dict(content)})


def _key_and_output(kind: str, spec: Spec) -> tuple[str, str]:
    return _key(kind, spec), _output(kind, _build(kind, spec))


def _output(kind: str, part: Any) -> str:
    """Return what a part gives for an example, where its kind has an obvious call; empty otherwise."""
    call = _CALLS.get(kind)
    return repr(call(part)) if call else ""


def _perturbed(part: Any) -> Sequence[Segment]:
    segments = [Segment(PROSE, True), Segment(CODE, False), Segment(PROSE, True)]
    after: list[Segment] = part.perturb(list(segments), random.Random(3), frozenset({"numbers"}))
    code = [segment.text for segment in after if not segment.natural]
    assert code == [CODE] or not part.keeps_segments, "verbatim segments come back unchanged and in order"
    return after


def _measured(part: Any) -> list[Any]:
    """Return a metric's numbers of perturbed prompts with every outcome, and of no results at all."""
    outcomes = [*Outcome, Outcome.PASSED, Outcome.PASSED]
    noisy, clean = (
        tuple(Result(f"task/{at}", 0, outcome, "", "", 0.1, f"{at:064d}") for at, outcome in enumerate(some))
        for some in (outcomes, outcomes[::-1])
    )
    prompts = tuple(PromptRow(result.task_id, "prmpt", "prompt", "C1", True, True) for result in noisy)
    evaluations = Evaluation("examples", "C1", noisy, prompts, clean), Evaluation("examples", "C1", (), (), ())
    return [part.measure(evaluation, CellLabels("model", "full", "C1", 42)) for evaluation in evaluations]


def _completed(part: Any) -> list[Any]:
    reference = "    total = x + 1\n    return total\n"
    requests = [
        GenerationRequest(f"{n}", f"task/{n // 2}", f"def f{n // 2}(x):\n", n % 2, ("\ndef",), reference)
        for n in range(8)
    ]
    completions: list[Any] = part.generate(requests)
    assert part.generate(requests[::-1])[::-1] == completions, "a completion depends on its own request alone"
    return completions


_CALLS: Mapping[str, Callable[[Any], Any]] = {
    "perturbations": _perturbed,
    "problems": lambda part: list(part.problems()),
    "sources": lambda part: list(part.rows()),
    "metrics": _measured,
    "generators": _completed,
    "taggers": lambda part: part.tag(PROSE.split()),
    "synonyms": lambda part: part.heads("number", "NOUN"),
}
"""By kind: what a part of it gives for an example."""


def _check_refusals(kind: str, spec: Spec, plain: Mapping[str, Any]) -> None:
    """Fail if a wrong argument ends in anything but a UsageError, which is shown to users without a traceback."""
    values = [(key, wrong) for key, value in plain.items() for wrong in WRONG if type(wrong) is type(value)]
    for key, wrong in [("no such argument", 1), *values]:
        try:
            _build(kind, Spec(spec.name, {**spec.args, key: wrong}))
        except UsageError:
            continue
        except Exception as error:
            raise AssertionError(f"{key}={wrong!r} must raise a UsageError if it is refused, not {error!r}") from error
        assert key in plain, f"an argument {key!r} must be refused"
