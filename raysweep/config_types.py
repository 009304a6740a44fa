"""What the config's schema is built of: strict sections, names that must be known, specs of registered classes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from raysweep.errors import UnknownName, UsageError, did_you_mean
from raysweep.problems.base import PROBLEMS
from raysweep.records import Spec
from raysweep.registry import Registry
from raysweep.training_sets.base import SOURCES

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,79}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """A section of the config: unknown keys are refused and nothing is coerced from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def registered(registry: Registry[Any]) -> AfterValidator:
    """Return a validator that a name is in a registry; the error offers the nearest one."""

    def check(name: str) -> str:
        try:
            registry.get(name)
        except UnknownName as error:
            raise ValueError(str(error)) from None
        return name

    return AfterValidator(check)


def declared(section: str) -> AfterValidator:
    """Return a validator that a name is a key of another section of the same file."""

    def check(name: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(section)
        if known is not None and name not in known:
            raise ValueError(f"no {section[:-1]} called {name!r}{did_you_mean(name, known)} under `{section}:`")
        return name

    return AfterValidator(check)


class SpecConfig(BaseModel):
    """A registered name with its arguments beside it: ``{name: minicode, rows: 8000}``, or the bare name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def spec(self, registry: Registry[Any], seed: int) -> Spec:
        """Return the spec; a generated world that names none gets the sweep's seed."""
        args = dict(self.model_extra or {})
        if "world" in registry.parameters(self.name):
            args.setdefault("world", seed)
        return Spec(self.name, args)


def spec_of(registry: Registry[Any]) -> AfterValidator:
    """Return a validator that a SpecConfig can be built by a registry, arguments included."""

    def check(value: SpecConfig) -> SpecConfig:
        try:
            registry.create(value.spec(registry, seed=0))
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    return AfterValidator(check)


SourceSpec = Annotated[SpecConfig, spec_of(SOURCES)]
ProblemsSpec = Annotated[SpecConfig, spec_of(PROBLEMS)]


def lint_stop(text: str) -> str:
    r"""Return a stop string; raise ValueError on a literal backslash-n, which YAML keeps in plain and single quotes."""
    for escaped, real in (("\\n", "\n"), ("\\t", "\t")):
        if escaped in text:
            shown = text.replace(escaped, real).encode("unicode_escape").decode()
            raise ValueError(f'stop string {text!r} holds a literal backslash; write it in double quotes: "{shown}"')
    if not text:
        raise ValueError("an empty stop string would cut every completion to nothing; leave it out")
    return text
