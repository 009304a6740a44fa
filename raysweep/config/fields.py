"""Building blocks of the config's schema: strict sections, checked names, specs of registered classes, units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.generators.base import GENERATORS
from raysweep.problems.base import JSONL, PROBLEMS
from raysweep.prompts.templates import NATIVE, TEMPLATES, check_template
from raysweep.records import Decoding, Spec
from raysweep.registry import Registry
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.rejected.pair_filters import PairFilters
from raysweep.training_sets.rejected.teacher import BLOCK, DECODING


@dataclass(frozen=True)
class DescribedCheck(AfterValidator):
    """A validator that also says in words which values it takes, for the reference of config keys."""

    words: str = ""


@dataclass(frozen=True)
class UnitMark:
    """The unit of a number in the config, for the reference of config keys; it checks nothing."""

    words: str


@dataclass(frozen=True)
class SectionsMark:
    """Has the reference of config keys describe the sections of a registered name here; it checks nothing."""


@dataclass(frozen=True)
class DefaultMark:
    """What a required key is where it is left out, for the reference of config keys; a validator puts it in."""

    words: str


NAME_SIGNS = "_.@+-"
"""Characters of names beside letters and digits; none begins with one."""
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that nothing is shown of (Default_Ignorable_Code_Point of Unicode 16)."""


def may_be_in_name(character: str) -> bool:
    """Return True for letters and digits of any script, with their marks, and for ``_ . @ + -``."""
    is_seen = _INVISIBLE.match(character) is None
    return character in NAME_SIGNS or (is_seen and unicodedata.category(character)[0] in "LMN")


def may_begin_name(character: str) -> bool:
    """Return True for letters and digits of any script."""
    return may_be_in_name(character) and unicodedata.category(character)[0] in "LN"


def named(longest: int) -> DescribedCheck:
    """Return a validator that a name can be part of a file's name, with at most `longest` bytes."""

    def check(name: str) -> str:
        if not name or not may_begin_name(name[0]) or not all(map(may_be_in_name, name)):
            shown = _INVISIBLE.sub(lambda mark: ascii(mark[0])[1:-1], repr(name))
            raise ValueError(
                f"name {shown} can't be part of a file's name; take letters, digits and _ . @ + -, and start it with "
                "a letter or a digit"
            )
        if not unicodedata.is_normalized("NFC", name):
            composed = unicodedata.normalize("NFC", name)
            raise ValueError(f"name {name!a} has letters in parts; write each as one character: {composed!r}")
        if (size := len(name.encode())) > longest:
            raise ValueError(f"name {name!r} has {size} bytes; at most {longest} are allowed")
        return name

    return DescribedCheck(check, f"name of at most {longest} bytes")


def _pair(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"must be a list of two numbers, such as [0.9, 0.999], not {value!r}")
    return tuple(value)


Name = Annotated[str, named(40)]  # cell ids are three of them and a seed, and file names end at 255 bytes
SweepName = Annotated[str, named(80)]
Share = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Beta, Beta], BeforeValidator(_pair)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
CountOrZero = Annotated[int, Field(ge=0, lt=2**31)]
Amount = Annotated[float, Field(gt=0, le=1e6)]
AmountOrZero = Annotated[float, Field(ge=0, le=1e6)]
Factor = Annotated[float, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]


def is_quoted_number(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?", value) is not None


def form(value: Any) -> str:
    """Return whether the value of a key that takes words and more is one of the words; a number in quotes is none."""
    return "rule" if isinstance(value, str) and not is_quoted_number(value) else "written"


class Parts(dict[tuple[str, str], Any]):
    """What was built of a config, by kind and spec. It adds nothing to that: a copy for a worker has none.

    The parts of two configs are equal, so that configs are where their settings are.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts)

    def __reduce__(self) -> Any:
        return Parts, ()


class Strict(BaseModel):
    """A section of the config: unknown keys are refused, nothing is coerced from text, and numbers are finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section class in an annotation such as ``list[ModelConfig]`` or ``dict[str, RecipeConfig]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (section_in(part) for part in reversed(getattr(annotation, "__args__", ())))
    return next((section for section in inner if section is not None), None)


STORED = "stored"
"""In the context of a validation: a sweep's own config is read, whose parts need not be here any more."""


def _is_stored(info: ValidationInfo) -> bool:
    return STORED in (info.context or {})


def _looked_up(name: str, registry: Registry[Any], there: str, others: Sequence[str]) -> str:
    try:
        registry.get(name)
    except UsageError as error:
        own, near = (did_you_mean(name, names) for names in (registry.names(), [*registry.names(), *others]))
        text = str(error).replace(own, near) if own else f"{error}"
        more = f"; {there}: {', '.join(others)}{'' if own else near}" if others else ""
        raise ValueError(f"{text}{more}") from None
    return name


def _name_of(registry: Registry[Any]) -> str:
    return f"name of {'an' if registry.kind[0] in 'aeiou' else 'a'} {registry.kind}"


def registered(registry: Registry[Any], *others: str | Registry[Any]) -> DescribedCheck:
    """Return a validator that a name is in a registry, or among others; the error offers the nearest name."""

    def check(name: str, info: ValidationInfo) -> str:
        if _is_stored(info):  # a part of a package that isn't installed any more
            return name
        more = [each for other in others for each in ([other] if isinstance(other, str) else other.names())]
        return name if name in more else _looked_up(name, registry, "also", more)

    words = [f"`{other}`" if isinstance(other, str) else _name_of(other).removeprefix("name of ") for other in others]
    return DescribedCheck(check, "".join([_name_of(registry), *(f", or {other}" for other in words)]))


def registered_or_declared(registry: Registry[Any], section: str) -> DescribedCheck:
    """Return a validator that a name is in a registry, or a key of another section of the same file."""

    def check(name: str, info: ValidationInfo) -> str:
        declared = (info.context or {}).get(section, ())
        if declared is None or name in declared or _is_stored(info):
            return name
        return _looked_up(name, registry, f"under `{section}:` there are", sorted(declared))

    return DescribedCheck(check, f"{_name_of(registry)}, registered or under `{section}:`")


def unregistered(registry: Registry[Any]) -> AfterValidator:
    def check(name: str) -> str:
        if name in registry.names():
            raise ValueError(f"{name!r} is a registered {registry.kind}; choose another name")
        return name

    return AfterValidator(check)


def declared(section: str, what: str) -> DescribedCheck:
    """Return a validator that a name is declared in another section of the same file. `what`: whose name it is."""

    def check(name: str, info: ValidationInfo) -> str:
        known = (info.context or {}).get(section)
        if known is not None and name not in known:
            raise ValueError(f"no {what} called {name!r}{did_you_mean(name, known)} under `{section}:`")
        return name

    return DescribedCheck(check, f"name under `{section}:`")


class SpecConfig(BaseModel):
    """A registered name with its arguments, ``{name: minicode, rows: 8000}``, or the bare name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def spec(self, registry: Registry[Any], seed: int) -> Spec:
        """Return the spec; a generated world that names none gets the sweep's seed.

        A `path` or `python` becomes absolute: a spec travels to workers, which run in other folders. One that doesn't
        exist stays as it is, since it may be a hub id.
        """
        args = dict(self.model_extra or {})
        for name in ("path", "python"):
            path = args.get(name)
            if isinstance(path, str) and "://" not in path and Path(path).expanduser().exists():
                args[name] = str(Path(path).expanduser().absolute())
        if "world" in registry.parameters(self.name):
            args.setdefault("world", seed)
        return Spec(self.name, args)


class ProblemsConfig(SpecConfig):
    """A problem set, under another name in results if `as` gives one: ``{name: jsonl, as: mine, path: mine.jsonl}``."""

    own_name: Annotated[str, named(40)] | None = Field(None, alias="as")

    @property
    def label(self) -> str:
        return self.own_name or self.name


REJECTED_FIELD = "rejected_field"
"""The argument of sources that read a rejected response."""


Filter = Literal["equal", "similarity", "tokens", "fence"]
"""What may be left out of a teacher's responses (`raysweep.training_sets.rejected.pair_filters`)."""
NEAR_MISSES = PairFilters()
FILTERS: Sequence[Filter] = ("equal", "similarity", "tokens", "fence")


class RejectedConfig(Strict):
    """Where a source's rows have a rejected response from: a field of theirs, changes of their code, or a teacher."""

    field: Annotated[str, Field(min_length=1)] | None = None
    """The field of the rows that has it."""
    mutator: Literal["python"] | None = None
    """`python`: one operator, constant, name, argument or branch of the response's Python code is changed."""
    teacher: Annotated[str, Field(min_length=1)] | None = None
    """Name of the model, one of `models`, that writes an incorrect variant of each response."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = DECODING.seed
    """Of the mutator's or teacher's random choices."""
    temperature: Annotated[float, Field(ge=0, le=5)] = DECODING.temperature
    """Randomness of the teacher's answers; 0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1), UnitMark("probability")] = DECODING.top_p
    """As in `evaluation`."""
    max_new_tokens: Annotated[Count, UnitMark("tokens")] = DECODING.max_new_tokens
    """Longest answer of the teacher."""
    rejected_text: Literal["block", "answer"] = BLOCK
    """`block`: the answer's code takes the place of the response's one block; `answer`: always the whole answer."""
    filters: Annotated[list[Filter], BeforeValidator(lambda value: [] if value == "none" else value)] = [*FILTERS]
    """What is left out of a teacher's responses, each counted; `none`: nothing, as in the study."""
    similarity: Annotated[float, Field(ge=0, le=1), UnitMark("share of the characters")] = NEAR_MISSES.similarity
    """A rejected response less similar than this to the response is dropped (Indel similarity)."""
    tokens: Annotated[Count, UnitMark("tokens")] = NEAR_MISSES.tokens
    """A prompt with a longer rejected response is dropped, by the teacher's tokenizer."""
    unpaired: Literal["keep", "drop"] = "keep"
    """Rows without a rejected response: trained on where nothing is compared, or left out for all recipes alike."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(
                "must name one source: {field: NAME}, {mutator: python, seed: 1} or {teacher: MODEL}"
                + (f"; it has {' and '.join(given)}" if given else "")
            )
        others = type(self).model_fields.keys() - {given[0], *WAYS[given[0]]}
        unused = sorted(name for name in others if getattr(self, name) != type(self).model_fields[name].default)
        if unused:  # a sweep's own config.yaml names all settings, those without effect with their defaults
            raise ValueError(f"`{unused[0]}` has no effect beside `{given[0]}`; remove it")
        limits = [name for name in ("similarity", "tokens") if self.teacher and name not in self.filters]
        if idle := [name for name in limits if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(f"`{idle[0]}` has no effect, since `filters` lacks it; remove it or add it to `filters`")
        return self


WAYS: Mapping[str, frozenset[str]] = {
    "field": frozenset({"unpaired"}),
    "mutator": frozenset({"seed", "similarity", "unpaired"}),
    "teacher": frozenset(RejectedConfig.model_fields) - {"field", "mutator"},
}
"""The ways to rejected responses, each with the settings that it takes."""


class SourceConfig(SpecConfig):
    """A source of training rows, with where its rows have rejected responses from."""

    rejected: RejectedConfig | None = None

    def spec(self, registry: Registry[Any], seed: int) -> Spec:
        """See `SpecConfig.spec`; a field with the rejected response is an argument of the source.

        Raises:
            UsageError: the source reads no such field.
        """
        spec = super().spec(registry, seed)
        if self.rejected is None or self.rejected.field is None:
            return spec
        if REJECTED_FIELD not in registry.parameters(self.name):
            raise UsageError(
                f"{registry.kind} {self.name!r} reads no field with rejected responses; take one that does, such as "
                "jsonl, or `rejected: {mutator: python}`"
            )
        return Spec(spec.name, {**spec.args, REJECTED_FIELD: self.rejected.field})


def _rejected_hint(value: SpecConfig, registry: Registry[Any]) -> str:
    if not isinstance(value, SourceConfig) or value.name not in registry.names():
        return ""
    others = RejectedConfig.model_fields.keys() - registry.parameters(value.name)
    return "".join(f"; did you mean `rejected.{name}`?" for name in value.model_extra or {} if name in others)


def _spec_of(registry: Registry[Any]) -> DescribedCheck:
    def check(value: SpecConfig, info: ValidationInfo) -> SpecConfig:
        try:
            if not _is_stored(info):
                registry.create(value.spec(registry, seed=0))
        except MissingInput:
            pass  # raysweep.config.checks reports it with all that is missing
        except UsageError as error:
            raise ValueError(f"{error}{_rejected_hint(value, registry)}{_file_hint(value, registry)}") from None
        return value

    return DescribedCheck(check, f"{_name_of(registry)}, alone or in a mapping with its arguments")


def _file_hint(value: SpecConfig, registry: Registry[Any]) -> str:
    if value.name in registry.names() or JSONL not in registry.names():
        return ""
    path = (value.model_extra or {}).get("path")
    label, equals, file = value.name.partition("=")
    if path is None and not value.name.endswith((".jsonl", ".json", ".csv", ".gz")):
        return ""
    fields = {"name": JSONL, "as": value.name if path is not None else label if equals else None}
    fields["path"] = str(path) if path is not None else file if equals else value.name
    if registry is not PROBLEMS:
        is_csv = ".csv" in Path(str(fields["path"])).suffixes
        fields |= {"name": "csv" if is_csv else JSONL, "as": None}
    shown = ", ".join(f"{key}: {text}" for key, text in fields.items() if text is not None)
    return f"; for your own file write {{{shown}}}"


SourceSpec = Annotated[SourceConfig, _spec_of(SOURCES)]
ProblemsSpec = Annotated[ProblemsConfig, _spec_of(PROBLEMS)]


def generator(*, without_weights: bool) -> DescribedCheck:
    """Return a validator of a generator and its arguments. `without_weights`: one that runs no weights may be named."""

    def check(value: SpecConfig, info: ValidationInfo) -> SpecConfig:
        if _is_stored(info):
            return value
        try:
            spec = value.spec(GENERATORS, seed=0)
            runs_weights = GENERATORS.get(spec.name).needs_model
            arguments: dict[str, Any] = {"model": None, "decoding": Decoding()}
            if not runs_weights and without_weights:
                GENERATORS.create(spec, **arguments)
                return value
            if not runs_weights:
                raise UsageError(f"generator {spec.name!r} runs no weights; name it at a model, in place of its `path`")
            GENERATORS.check(spec, **arguments)
        except MissingInput:
            return value  # raysweep.config.checks reports it with all that is missing
        except UsageError as error:
            raise ValueError(str(error)) from None
        if "batch_tokens" in spec.args:
            raise ValueError("`batch_tokens` belongs under `evaluation`, for all models")
        return value

    return DescribedCheck(check, f"{_name_of(GENERATORS)}, alone or in a mapping with its arguments")


GeneratorSpec = Annotated[SpecConfig, generator(without_weights=True)]
WeightsGeneratorSpec = Annotated[SpecConfig, generator(without_weights=False)]


def template(*others: str) -> DescribedCheck:
    """Return a validator that a text is a prompt template's name, a Jinja string, or one of `others`."""

    def check(text: str) -> str:
        try:
            return check_template(text, others)
        except UsageError as error:
            raise ValueError(str(error)) from None

    names = ", ".join(f"`{name}`" for name in (*others, *TEMPLATES))
    return DescribedCheck(check, f"{names}, one for repair or a Jinja string")


Template = Annotated[str, template()]
PromptFormat = Annotated[str, template(NATIVE)]


def lint_stop(text: str) -> str:
    r"""Return a stop string; raise ValueError on a literal backslash-n, which YAML keeps in plain and single quotes."""
    for escaped, real in (("\\n", "\n"), ("\\t", "\t")):
        if escaped in text:
            shown = text.replace(escaped, real).encode("unicode_escape").decode()
            raise ValueError(f'stop string {text!r} holds a literal backslash; write it in double quotes: "{shown}"')
    if not text:
        raise ValueError("an empty stop string would cut every completion to nothing; leave it out")
    return text
