"""The contract of a generator, which turns prompts into completions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from raysweep.errors import Doubt, Finding, UsageError, as_error, findings_of
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, Spec
from raysweep.registry import Registry


@dataclass(frozen=True)
class LiveModel:
    """A model that is in this process's memory, such as one that is being trained. It can't leave it."""

    network: Any
    tokenizer: Any


@dataclass(frozen=True)
class WantedModel:
    """What is known of a model before it is loaded, or trained.

    `model_type`: of its base, as in transformers' configs. `adapter`: PEFT's config of its adapter; empty without one.
    `architecture`: `causal`, or `seq2seq` for a model with an encoder and a decoder. `quantize`: what its base is
    held in (see ModelRef). `in_files`: how the files of its base are quantized, such as `gptq`; empty: they aren't.
    """

    name: str
    model_type: str
    kind: ModelKind
    adapter: Mapping[str, Any]
    decoding: Decoding
    architecture: str = "causal"
    quantize: str | None = None
    in_files: str = ""


class Generator(ABC):
    """Generates completions with one loaded model.

    A completion depends on (model, prompt, sample, decoding) only, not on the other requests of its batch or on earlier
    calls. The random numbers of a sample come from (decoding.seed, task id, sample), so the clean and the perturbed
    prompt of a problem share them. Completions are cut at eos, then at the first of the request's stop strings:

        text, stop = cut_at_stop(written, request.stop)
        return Completion(request.task_id, request.sample, text, stop or "eos", tokens, text_sha(request.prompt))

    `Completion.stop` is that string, else "eos" if the model ended the text, or "length" if it reached
    `decoding.max_new_tokens`. With beam search a request's `sample` is the rank of its text.

    The constructor gets `model` and `decoding` by name, then the config's arguments, and `batch_tokens` if it has an
    argument of that name. `model` is None where a config names the generator in a model's place. A generator that loads
    weights of its own does so at its first `generate`, and keeps them.
    """

    name: ClassVar[str]
    needs_model: ClassVar[bool] = False
    """Whether it runs the weights of a model; otherwise a config or a command names it in a model's place."""
    loads: int = 0
    """How often it has loaded a whole model."""
    alive: Callable[[], None] = staticmethod(lambda: None)
    """Set by the engine; a generator calls it now and then, so that a batch that takes long isn't taken for a hang."""
    tell: Callable[[str], None] = staticmethod(lambda text: None)
    """Set by the engine; a generator calls it with a sentence on what holds it up, such as a server without answer."""
    draws_when_greedy: ClassVar[bool] = True
    """Whether its completions depend on the seed at temperature 0 too."""
    reads_reference: ClassVar[bool] = True
    """Whether its completions may depend on the reference solution of a request; equal prompts of two problem sets
    are completed once only if they don't."""
    sampling: ClassVar[str] = ""
    """Name of the rule by which it draws tokens, for keys of completions above temperature 0; "" if it has had one."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages on whose versions completions depend; keys have the versions of the environment that generates."""
    unkeyed: ClassVar[frozenset[str]] = frozenset()
    """Arguments that are no part of keys, since they change no completion, such as how much memory it may take."""
    environment: ClassVar[str] = ""
    """Name of the package that has an environment of its own, since it doesn't go with raysweep's other packages."""
    modules: ClassVar[Mapping[str, str]] = {}
    """Modules of packages that this environment must have, by name, and what a user is told where one is missing."""
    takes_full_models: ClassVar[bool] = True
    """Whether `use` can put a fully fine-tuned model in the place of its base."""
    at_once: ClassVar[int] = 1
    """How many threads may call `generate` at the same time. A second batch keeps the first one's places filled."""
    mixes_versions: ClassVar[bool] = False
    """Whether each of these threads may `use` a version of the model of its own."""
    searches: ClassVar[bool] = False
    """Whether it has beam search (`Decoding.beams`): a prompt's sample n is the n-th best text."""

    def __init__(self, model: ModelRef | LiveModel | None, decoding: Decoding) -> None:
        for finding in findings_of(f"generator {self.name!r}", lambda: self.check(decoding)):
            if not isinstance(finding[1], Doubt):
                raise as_error(finding)
        self.model = model
        self.decoding = decoding

    @classmethod
    def check(cls, decoding: Decoding) -> Iterator[Finding]:
        """Yield the settings of `evaluation` that it can't follow; with an empty key what another generator could."""
        if decoding.beams == 1:
            return
        if not cls.searches:
            yield "", f"generator {cls.name} has no beam search; take `generator: {TRANSFORMERS}`, or leave `beams` out"
        elif decoding.temperature > 0:
            yield (
                "beams",
                f"beam search finds the most likely texts, and temperature {decoding.temperature:g} samples others; "
                "give `temperature: 0`, or leave `beams` out",
            )
        elif decoding.samples > decoding.beams:
            why = f"{decoding.samples} samples are more than {decoding.beams} beams find"
            yield "beams", f"{why}; give as many `beams` as `samples`, or more"

    @classmethod
    def keyed(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of its arguments, from the config, that are part of keys."""
        return {name: value for name, value in arguments.items() if name not in cls.unkeyed}

    @classmethod
    def fingerprint(cls, dtype: str, batch_tokens: int | None) -> Mapping[str, Any]:
        """Return what completions depend on beside model, prompt, arguments and decoding, as JSON, for their keys.

        A plug-in's package and version, and those of `packages`, are part of the keys without it.

        Args:
            dtype: of the model's weights.
            batch_tokens: of the config; without effect on the completions of most generators.
        """
        return {}

    @classmethod
    def arguments_in(cls, text: str) -> Mapping[str, Any]:
        """Return the arguments that a text after the generator's name and a colon gives, as in ``openai:gpt-5``.

        Raises:
            UsageError: this generator takes none.
        """
        raise UsageError(f"generator {cls.name} takes nothing after its name; {text!r} is too much")

    @classmethod
    def accelerators(cls, arguments: Mapping[str, Any]) -> int:
        """Return among how many accelerators of one node it shares a model. `arguments`: from the config.

        Above 1 its process is given as many. A fully fine-tuned model then has a process of its own, whatever
        `takes_full_models` says.
        """
        return 1

    @classmethod
    def chats(cls, arguments: Mapping[str, Any]) -> bool:
        """Return whether it answers prompts as a chat does, whatever their template. `arguments`: from the config.

        Then a request has no stop strings of the problem, and `text` is the whole answer, out of which the program is
        taken.
        """
        return False

    @classmethod
    def prompted(
        cls, arguments: Mapping[str, Any], system: str, template_arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return its arguments with those by which it sends a model's system prompt, and arguments of its template.

        It is asked only of a generator without weights, of which the server fills the template.

        Raises:
            UsageError: it can't send them.
        """
        what = "system_prompt" if system else "template_arguments"
        raise UsageError(f"generator {cls.name} sends prompts alone, and no `{what}`; leave it out")

    @classmethod
    def require_fit(cls, arguments: Mapping[str, Any], model: WantedModel) -> None:
        """Check before any work that it can generate with a model.

        Args:
            arguments: its own, from the config.
            model: what is known of the model, which may not be trained yet.

        Raises:
            UsageError: it can't, with the reason and the way out.
        """

    def use(self, model: ModelRef) -> bool:
        """Generate with another model from now on, keeping what it shares with the present one, such as their base.

        It counts for the calling thread only where `mixes_versions` is set; otherwise no thread generates meanwhile.

        Returns:
            False if this generator can't do that; then a new one must be made.
        """
        return False

    def live(self) -> LiveModel:
        """Return the model that it generates with, which an editor may change and put back.

        Raises:
            UsageError: its model is not in this process's memory, or not as torch's modules.
        """
        raise UsageError(f"generator {self.name} can't edit a model; use `generator: transformers`")

    def state(self) -> Mapping[str, float]:
        """Return numbers for dashboards: `batch_tokens`, the present budget, and `cache_share`, how much is in use."""
        return {}

    def facts(self) -> Mapping[str, Any]:
        """Return what manifests should say of how it generates here, such as on this kind of accelerator.

        The values are booleans and numbers. Of several batches or processes, a manifest has the smallest.
        """
        return {}

    @abstractmethod
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Return one completion per request, in the same order. Callers keep a prompt's samples together."""


def named_generator(model: str) -> Spec | None:
    """Return the generator without weights that the text in a model's place names; None for a folder or hub id.

    Raises:
        UsageError: the generator takes no text after its name.
    """
    name, colon, text = model.partition(":")
    if name not in GENERATORS.names() or GENERATORS.get(name).needs_model or Path(model).is_dir():
        return None
    return Spec(name, GENERATORS.get(name).arguments_in(text) if colon else {})


GENERATORS: Registry[Generator] = Registry("generator", "raysweep.generators", Generator)


def continues(generator: Spec) -> bool:
    """Return True if a generator goes on with a prompt's text: it neither answers as a chat nor knows the solution."""
    kind = GENERATORS.get(generator.name)
    return not kind.reads_reference and not kind.chats(generator.args)


EOS, LENGTH = "eos", "length"
"""Why a completion ended, where no stop string or stop token ended it: by itself, or at the most tokens allowed."""
CPU_TOKENS = 24_576
"""Tokens, of prompts and completions, that a model holds at a time on a CPU, unless a config says otherwise."""
MEMORY_SHARE = 0.6
"""Share of an accelerator's free memory that keys and values may take, unless a config says otherwise."""
TRANSFORMERS = "transformers"
"""Name of the generator that runs a model's weights."""


def is_too_long(completion: Completion) -> bool:
    """Return True if nothing was written, since the prompt is too long or leaves the model no position to write to."""
    return completion.stop == LENGTH and not completion.tokens and not completion.text


def answer_of(completion: Completion) -> str | None:
    """Return what was written; None if nothing could be, which is another thing than an answer without text."""
    return None if is_too_long(completion) else completion.text


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """Cut `text` at the earliest stop string; return the text and that stop string, or None if there is none."""
    hits = [(start, string) for string in stop if (start := text.find(string)) >= 0]
    if not hits:
        return text, None
    start, string = min(hits, key=lambda hit: (hit[0], -len(hit[1])))
    return text[:start], string
