"""What every part must do, whatever its kind, and how a suite gets the part that it tests."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import inspect
import multiprocessing
import os
import random
import sys
import typing
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, ParamSpec, TypeVar

import pytest

from raysweep.hashing import canonical_json, text_sha
from raysweep.records import Spec
from raysweep.registry import Registry

P = ParamSpec("P")
T = TypeVar("T")

OTHER_HASH_SEED = "12345"
"""PYTHONHASHSEED of the other process: there sets have another order than here."""
LONGEST_WAIT = 600.0
"""Seconds after which the other process is taken for hung."""
HEAVY = ("torch", "transformers", "ray", "vllm")
"""Packages that the module of a part doesn't import at its head."""


class Contract:
    """Tests of what docs/plugins.md asks of every part. The suite of each kind inherits from it.

    A test that a part can't pass, for a reason that its users know, is turned off by its name: ``test_... = None``.

    Attributes:
        make: to be set: the class of the part, or a method ``make(self, **arguments)`` that builds the part. Suites
            call it with the arguments that their tests need, such as `strength`, and a method passes these on.
        registry: of the parts of this kind; each suite sets it.
    """

    make: Callable[..., Any]
    registry: ClassVar[Registry[Any]]

    def part(self, **arguments: Any) -> Any:
        """Return the part that `make` builds, once raysweep knows all parts of the kind by their names."""
        self.registry.names()
        part = self.make(**arguments)
        assert hasattr(type(part), "name"), (
            f"raysweep doesn't know the {self.registry.kind} {type(part).__qualname__}: "
            + (
                "; ".join(self.registry.refused())
                or f"install its package, and have an entry point of the group {self.registry.package!r} name the class"
            )
        )
        return part

    def spec(self, **arguments: Any) -> Spec:
        """Return the name and the arguments from which another process builds the part.

        They are those that `make` gives the class. Override it if `make` returns an object that it built earlier.
        """
        kind = type(self.part(**arguments))
        build, arguments_of = kind.__init__, {}

        @functools.wraps(build)
        def noted(part: Any, *values: Any, **named: Any) -> None:
            arguments_of.update(inspect.signature(build).bind(part, *values, **named).arguments)
            build(part, *values, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kind, "__init__", noted)
            self.part(**arguments)
        return Spec(kind.name, dict(list(arguments_of.items())[1:]))  # without `self`

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _on_the_cpu(cls) -> Iterator[None]:
        """Let torch find no GPU, since parts promise equal bytes on a CPU alone; set the variable to try them on one.

        It is set for the tests of a suite, not for the whole process, where Ray would refuse to pretend a GPU.
        """
        with _without_gpus():
            yield

    @pytest.fixture
    def built(self) -> Any:
        return self.part()

    def test_raysweep_finds_it_by_its_name(self, built: Any) -> None:
        """Configs, commands and other processes know a part by its registered name."""
        assert self.registry.get(built.name) is type(built), (
            f"under the name {built.name!r} raysweep finds another class than {type(built).__qualname__}: an entry "
            f"point of the group {self.registry.package!r} must name this one"
        )

    def test_its_docstring_begins_with_a_sentence(self, built: Any) -> None:
        """`raysweep list` shows the first line."""
        text = inspect.getdoc(type(built)) or ""
        assert text.partition("\n")[0].endswith(".") and text != inspect.getdoc(self.registry.base), (
            "the docstring of the class begins with a line that is one sentence: `raysweep list` shows it"
        )

    def test_each_argument_has_a_type_that_exists_at_run_time(self, built: Any) -> None:
        """The arguments of a config are checked against the annotations."""
        kind = type(built)
        parameters = inspect.signature(kind).parameters
        missing = [name for name, parameter in parameters.items() if parameter.annotation is parameter.empty]
        assert not missing, f"each argument of the constructor has a type annotation; {', '.join(missing)} has none"
        try:
            typing.get_type_hints(kind.__init__) if parameters else None
        except NameError as error:
            pytest.fail(f"names in annotations of the constructor are imported at run time: {error}")

    def test_its_module_imports_heavy_packages_inside_functions(self, built: Any) -> None:
        """To find one part, raysweep imports all parts of its kind."""
        module = type(built).__module__
        heavy = elsewhere(_heavy_imports_of, module)
        assert not heavy, (
            f"heavy packages are imported inside the functions that use them; the import of {module} also imports "
            f"{' and '.join(heavy)}"
        )


class WithoutArguments(Contract):
    """The tests of `Contract`, for kinds to which no config gives arguments."""

    def part(self, **arguments: Any) -> Any:
        """Return the part that `make` builds; fail if `make` is a class that asks for arguments."""
        if inspect.isclass(self.make):
            self._check_defaults(self.make)
        return super().part(**arguments)

    def test_it_is_built_without_arguments(self, built: Any) -> None:
        self._check_defaults(type(built))

    def _check_defaults(self, kind: type) -> None:
        parameters = inspect.signature(kind).parameters.values()
        any_number = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        required = [
            parameter.name
            for parameter in parameters
            if parameter.default is parameter.empty and parameter.kind not in any_number
        ]
        assert not required, (
            f"a {self.registry.kind} is built without arguments, so all that it has need a default; "
            f"{', '.join(required)} has none"
        )


class DataContract(Contract):
    """The tests of what problem sets and sources of training rows have in common.

    Attributes:
        records: the name of the method that returns the part's records.
        record: their class.
        id: the field that names a record.
        content_of: a static method that returns `content` of a part that it builds from a spec, for another process.
    """

    records: ClassVar[str]
    record: ClassVar[type]
    id: ClassVar[str]
    content_of: ClassVar[Any]

    def test_it_has_records_with_unique_ids(self) -> None:
        """Results and perturbed rows are found by them."""
        records = list(getattr(self.part(), self.records)())
        assert records, "there is at least one record"
        name = self.record.__name__
        assert all(isinstance(one, self.record) for one in records), f"{self.records}() gives raysweep.records.{name}"
        ids = Counter(getattr(one, self.id) for one in records)
        twice = [id for id, times in ids.items() if times > 1]
        assert not twice, f"ids of records are unique; these come twice: {', '.join(twice[:9])}"

    def test_its_records_have_a_fixed_order(self) -> None:
        """Limits, samples and sets of a given size take the first ones."""
        read = getattr(self.part(), self.records)
        with no_global_generator():
            first = list(read())
        assert first == list(read()), f"{self.records}() gives the same records in the same order each time"

    def test_its_fingerprint_is_json_without_a_path(self) -> None:
        """It is part of keys."""
        part, spec = self.part(), self.spec()
        fingerprint = part.fingerprint()
        assert isinstance(fingerprint, Mapping) and fingerprint, (
            "fingerprint() returns a mapping with a version of the content or the hash of its data, and the arguments "
            "that the content depends on"
        )
        try:
            text = _fingerprint(part)
        except (TypeError, ValueError) as error:
            pytest.fail(f"the values of fingerprint() are JSON, since keys are made of them: {error}")
        assert text == _fingerprint(part), "fingerprint() is the same each time"
        paths = [value for value in spec.args.values() if isinstance(value, str) and value and Path(value).exists()]
        assert not [path for path in paths if path in text], (
            "a path doesn't belong in fingerprint(): results would be lost when files move; give the hash of the data"
        )

    def test_its_fingerprint_has_the_arguments_that_its_records_depend_on(self) -> None:
        """Otherwise the results of other records would be used.

        Only numbers and truth values are changed: no other text is sure to be one that the part can work with.
        """
        part, spec = self.part(), self.spec()
        parameters = inspect.signature(type(part)).parameters
        values = {name: parameter.default for name, parameter in parameters.items()} | dict(spec.args)
        for name, value in values.items():
            for other in _other_values(value):
                try:
                    changed = type(part)(**{**spec.args, name: other})
                    has_same_key = _fingerprint(changed) == _fingerprint(part)
                    is_missing = has_same_key and content(changed, self.records) != content(part, self.records)
                except Exception:  # the part can't work with this value, so it has no content with it
                    continue
                assert not is_missing, (
                    f"fingerprint() has all arguments that its records depend on; {name!r} is missing: with {other!r} "
                    f"in place of {value!r} they are others, and the fingerprint is the same"
                )

    def test_another_process_gets_the_same_records_and_the_same_fingerprint(self) -> None:
        """Every process builds it anew, from its name and arguments."""
        records, fingerprint = content(self.part(), self.records)
        others, its_fingerprint = elsewhere(self.content_of, self.spec())
        assert others == records, "another process gets the same records in the same order"
        assert its_fingerprint == fingerprint, "another process gets the same fingerprint"


def content(part: Any, records: str) -> tuple[str, str]:
    """Return a digest of a part's records, and its fingerprint as JSON."""
    return text_sha(repr(list(getattr(part, records)()))), _fingerprint(part)


def _fingerprint(part: Any) -> str:
    return canonical_json(dict(part.fingerprint()))


def elsewhere(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a function of a module gives in another process, whose sets have another order than here."""
    return _other_process().submit(function, *args, **kwargs).result(LONGEST_WAIT)


@cache
def _other_process() -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _note_imports)
    with _without_gpus(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", OTHER_HASH_SEED)
        pool.submit(int).result(LONGEST_WAIT)
    return pool


def _note_imports() -> None:
    """Note from now on, in `_imports`, what each module of this process imports while it is imported itself."""
    usual = builtins.__import__

    def noted(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        if frame is not None:
            whole = importlib.util.resolve_name("." * level + name, (globals or {}).get("__package__"))
            importer = frame.f_globals.get("__name__", "")
            _imports[importer].update([whole, *(f"{whole}.{item}" for item in fromlist or ())])
        return usual(name, globals, locals, fromlist, level)

    builtins.__import__ = noted


def _heavy_imports_of(module: str) -> list[str]:
    """Return the heavy packages that the import of a module brings along, whatever was imported before it."""
    importlib.import_module(module)
    modules, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name and name not in modules:
            modules.add(name)
            waiting += [name.rpartition(".")[0], *_imports.get(name, ())]
    return sorted({name.partition(".")[0] for name in modules} & set(HEAVY))


_imports: defaultdict[str, set[str]] = defaultdict(set)
"""For each module that the other process has imported, the names that it imported meanwhile."""


@contextmanager
def _without_gpus() -> Iterator[None]:
    """Hide GPUs from torch for the length of a block, unless the environment says which ones to use."""
    with pytest.MonkeyPatch.context() as patch:
        if "CUDA_VISIBLE_DEVICES" not in os.environ:
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@contextmanager
def no_global_generator() -> Iterator[None]:
    """Fail if a block draws from a random generator of the whole process, or seeds it."""
    before = _states_of_generators()
    yield
    after = _states_of_generators()
    used = [name for name, state in before.items() if after[name] != state]
    assert not used, (
        f"the generator of the whole process in {' and '.join(used)} was used: randomness comes in as an argument, or "
        "from raysweep.seeding with a seed and names"
    )


def _states_of_generators() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate()}
    if "numpy" in sys.modules:
        import numpy

        states["numpy.random"] = repr(numpy.random.get_state())
    if "torch" in sys.modules:
        import torch

        states["torch"] = torch.get_rng_state().tolist()
    return states


def _other_values(value: Any) -> tuple[bool | int | float, ...]:
    """Return a smaller and a larger value of an argument; the other one of a truth value; none of anything else.

    Both are tried, since a part may have no content for one of them, or the same: a set of two problems is the same
    with the first three of them.
    """
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    return (value / 2, value * 2) if isinstance(value, float) else ()
