"""Plans the training and test sets of a config, and the search for leaks, without reading any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from raysweep.config.grid import test_set_name
from raysweep.config.schema import SweepConfig
from raysweep.config.training import RowSource
from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.execution.compiled.toolchains import identities, toolchain_key
from raysweep.hashing import text_sha
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.mixes import NO_TRANSLATOR, row_methods
from raysweep.planning.base_models import BaseModelPlanner
from raysweep.planning.keys import method_spec
from raysweep.planning.plan import (
    LeakagePlan,
    PerturbedRowsPlan,
    RejectedRowsPlan,
    RewrittenSetPlan,
    RewrittenTextsPlan,
    SourceRowsPlan,
    TeacherAnswersPlan,
    TestSetPlan,
    TrainingSetPlan,
)
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Limits
from raysweep.prompts.rewriting import DECODING
from raysweep.prompts.rewriting import VERSION as REWRITING
from raysweep.prompts.templates import CHAT, RAW, PromptTemplate
from raysweep.records import CLEAN, Decoding, Spec
from raysweep.storage.artefacts import Node
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.leakage import VERSION as LEAK_RULES
from raysweep.training_sets.pair_filters import PairFilters
from raysweep.training_sets.rejecting import VERSION as REJECTING
from raysweep.training_sets.selection import Choice
from raysweep.training_sets.teacher import ANSWER, PROMPT
from raysweep.training_sets.teacher import VERSION as TAUGHT

if TYPE_CHECKING:
    from raysweep.config.fields import RejectedConfig, SourceConfig

LIMITS = Limits()
"""Of programs that show whether a changed response is wrong."""


def build_data_sets(config: SweepConfig) -> tuple[dict[str, TrainingSetPlan | TestSetPlan], tuple[LeakagePlan, ...]]:
    """Return the sets of a config by the names ``training-NAME`` and ``PROBLEMS-NAME``, and the plans of the leaks.

    Raises:
        UsageError: a file that the config names can't be read.
    """
    planner = SetPlanner(config)
    sets = config.training.sets if config.training else []
    named: dict[str, TrainingSetPlan | TestSetPlan] = {
        f"training-{s.name}": planner.fine_tuning_set(s.name) for s in sets
    }
    for problems in config.evaluation.problems:
        for name in config.evaluation.perturbations:
            for draw in config.draws_of(name):
                named[test_set_name(problems.label, name, draw).replace(" ", "-")] = planner.test_set(
                    problems.label, name, draw
                )
    return named, planner.leakages(trained.name for trained in sets)


class SetPlanner:
    """Plans each distinct set of a config once.

    `tolerant`: a file or translator that isn't here gets a stand-in in keys, which then fit no artefact; else
    MissingInput is raised.
    """

    def __init__(self, config: SweepConfig, *, tolerant: bool = False) -> None:
        self.config = config
        self._tolerant = tolerant
        self.problem_specs = {p.label: p.spec(PROBLEMS, config.seed) for p in config.evaluation.problems}
        self.models = BaseModelPlanner(config, self._pretraining_set, tolerant=tolerant)
        self.test_set = cache(self._test_set)
        self.fine_tuning_set = cache(self._fine_tuning_set)
        self._validation = cache(self._validation_of)
        self._leakage = cache(self._leakage_of)
        self.problem_fingerprint = cache(self._problem_fingerprint)

    def _fine_tuning_set(self, name: str) -> TrainingSetPlan:
        training = self.config.training
        assert training is not None
        set_config = next(s for s in training.sets if s.name == name)
        source = training.source_of(name)
        leaks = self._leakage(source.name) if training.decontaminate == "drop" else None
        rows = self.source_rows(source.rows.spec(SOURCES, self.config.seed), leaks, label=_rows_label(source))
        problems = self._leakable(source.rows) if training.decontaminate == "drop" else ()
        rejected = self.rejected_rows(rows, source.rows.rejected, source.name, problems)
        return self.training_set(rows, set_config.perturbation, set_config.choice, f"training set {name}", rejected)

    def validation_set(self, training_set: str) -> TrainingSetPlan | None:
        assert self.config.training is not None
        return self._validation(self.config.training.source_of(training_set).name)

    def _validation_of(self, source: str) -> TrainingSetPlan | None:
        written = self._source(source).validation
        if written is None:
            return None
        label = f"validation rows of {source}" if source else "validation rows"
        rows = self.source_rows(written.spec(SOURCES, self.config.seed), label=label)
        # a row that leaks is an error, and a response that does is left out as it is made
        rejected = self.rejected_rows(rows, written.rejected, label, self._leakable(written))
        return self.training_set(rows, CLEAN, Choice(), label, rejected)

    def _source(self, name: str) -> RowSource:
        assert self.config.training is not None
        return next(source for source in self.config.training.row_sources if source.name == name)

    def _pretraining_set(self, source: Spec) -> TrainingSetPlan:
        return self.training_set(self.source_rows(source), CLEAN, Choice(), f"pre-training rows {source.name}")

    def leakages(self, training_sets: Iterable[str]) -> tuple[LeakagePlan, ...]:
        if (training := self.config.training) is None:
            return ()
        searched = {training.source_of(name).name for name in training_sets}
        plans = [self._leakage(source.name) for source in training.row_sources if source.name in searched]
        return tuple(plan for plan in plans if plan is not None)

    def _leakage_of(self, name: str) -> LeakagePlan | None:
        training, of = self.config.training, self._source(name)
        source = of.rows
        if not (problems := self._leakable(source)):
            return None
        assert training is not None
        rows = self.source_rows(source.spec(SOURCES, self.config.seed), label=_rows_label(of))
        # where leaking rows are left out, responses that leak are left out as they are made
        rejected = self.rejected_rows(rows, source.rejected, name) if training.decontaminate == "report" else None
        inputs = (rows.node.key, *([rejected.node.key] if rejected else []))
        node = Node("leakage", 1, self._leak_rules(problems), inputs, f"leaks in {rows.node.label}")
        return LeakagePlan(node, rows, problems, name, rejected)

    def _leakable(self, source: SourceConfig) -> tuple[tuple[str, Spec], ...]:
        apart = SOURCES.get(source.name).apart_from
        return tuple((name, spec) for name, spec in self.problem_specs.items() if spec.name not in apart)

    def _leak_rules(self, problems: Iterable[tuple[str, Spec]]) -> dict[str, Any]:
        return {"rules": LEAK_RULES, "problems": [self.problem_fingerprint(name) for name, _ in problems]}

    def rejected_rows(
        self,
        rows: SourceRowsPlan,
        rejected: RejectedConfig | None,
        name: str = "",
        problems: tuple[tuple[str, Spec], ...] = (),
    ) -> RejectedRowsPlan | None:
        """Return the plan of a source's rejected responses; None where its rows bring them, or none are wanted.

        `name`: what the config calls the source. `problems`: problem sets that no response may give away.
        """
        if rejected is None or rejected.field is not None:
            return None
        label = f"rejected responses of {name or rows.source.name}"
        checked = {**({"leaks": self._leak_rules(problems)} if problems else {}), **self._isolation(rows)}
        if rejected.mutator is not None:
            spec: dict[str, Any] = {
                "mutator": rejected.mutator,
                "version": REJECTING,
                "seed": rejected.seed,
                "similarity": rejected.similarity,
                "limits": dataclasses.asdict(LIMITS),
                **checked,
            }
            node = Node("rejected_rows", 1, spec, (rows.node.key,), label)
            filters = PairFilters(True, rejected.similarity, 0)
            return RejectedRowsPlan(node, rows, rejected.seed, filters, LIMITS, problems=problems)
        filters = PairFilters(
            "equal" in rejected.filters,
            rejected.similarity if "similarity" in rejected.filters else 0.0,
            rejected.tokens if "tokens" in rejected.filters else 0,
            "fence" in rejected.filters,
        )
        text = rejected.rejected_text
        answers = self._teacher_answers(rows, rejected, needs_fences=text != ANSWER or filters.fence)
        spec = {
            "text": text,
            "version": TAUGHT,
            "filters": dataclasses.asdict(filters),
            "limits": dataclasses.asdict(LIMITS),
            **checked,
        }
        node = Node("rejected_rows", 1, spec, (rows.node.key, answers.node.key), f"{label} by {answers.base.name}")
        return RejectedRowsPlan(node, rows, rejected.seed, filters, LIMITS, answers, text, problems)

    def _isolation(self, rows: SourceRowsPlan) -> dict[str, str]:
        """Return the level of isolation at which rejected responses are tried, where some are.

        Models are trained on those that failed, so that a stricter level makes both anew.
        """
        require = self.config.execution.sandbox.require
        tried = SOURCES.get(rows.source.name).may_have_tests()
        return {"level": require.value} if tried else {}

    def _teacher_answers(
        self, rows: SourceRowsPlan, rejected: RejectedConfig, *, needs_fences: bool
    ) -> TeacherAnswersPlan:
        """A model with a chat template is asked through that; raise UsageError if the config has no such model."""
        name = rejected.teacher or ""
        if name not in self.models.configs:
            raise UsageError(f"no model is called {name!r}, the teacher{did_you_mean(name, self.models.configs)}")
        base, model, template = self.models.base(name), self.models.configs[name], self.asking_template(name)
        decoding = Decoding(rejected.max_new_tokens, rejected.temperature, rejected.top_p, 1, rejected.seed)
        spec = {
            **self.models.writing_spec(name, decoding),
            "prompt": {"teacher": text_sha(PROMPT), "template": template, "system": model.system_prompt},
            "stop": list(model.stop),
        }
        inputs = (*([base.node.key] if base.node else []), rows.node.key)
        node = Node("completions", 1, spec, inputs, f"answers of the teacher {name} about {rows.node.label}")
        generator = self.models.generator(name)[0]
        batch_tokens, stop = self.config.evaluation.batch_tokens, tuple(model.stop)
        return TeacherAnswersPlan(
            node, rows, base, generator, decoding, template, model.system_prompt, stop, batch_tokens, needs_fences
        )

    def asking_template(self, name: str) -> str:
        """Return the template in which a model is asked something; one with a chat template is asked through that."""
        base, model = self.models.base(name), self.models.configs[name]
        has_chat = base.traits is not None and base.traits.has_chat_template
        own = PromptTemplate(model.template).needs_tokenizer and model.template != CHAT
        return model.template if own else CHAT if has_chat else RAW

    def rewritten_set(self, name: str, test_set: TestSetPlan) -> RewrittenSetPlan:
        base, model, template = self.models.base(name), self.models.configs[name], self.asking_template(name)
        stop = tuple(model.stop)
        spec = {
            **self.models.writing_spec(name, DECODING),
            "prompt": {"rewriting": REWRITING, "template": template, "system": model.system_prompt},
            "stop": list(stop),
        }
        inputs = (*([base.node.key] if base.node else []), test_set.node.key)
        node = Node("completions", 1, spec, inputs, f"texts of {test_set.node.label} rewritten by {name}")
        generator, batch_tokens = self.models.generator(name)[0], self.config.evaluation.batch_tokens
        texts = RewrittenTextsPlan(node, test_set, base, generator, template, model.system_prompt, stop, batch_tokens)
        of_set = {"rewriting": REWRITING, "problems": test_set.node.spec["problems"]}
        label = f"{test_set.node.label} rewritten by {name}"
        return RewrittenSetPlan(Node("rewritten_set", 1, of_set, (node.key, test_set.node.key), label), texts)

    def training_set(
        self,
        rows: SourceRowsPlan,
        perturbation: str,
        choice: Choice,
        label: str,
        rejected: RejectedRowsPlan | None = None,
    ) -> TrainingSetPlan:
        method, mark = self._usable(self.config.perturbation(perturbation, choice.compose))
        if choice.ratio == 0 or method.name == CLEAN:
            method = Spec(CLEAN)  # 0 % of anything is the clean set
            choice = Choice(0.0, choice.draw, choice.size) if choice.size != 1 else Choice()
        texts = tuple(self._perturbed_rows(rows, part) for part in _parts(method))
        spec: dict[str, Any] = {"perturbation": method.name, **mark}
        if method.name != CLEAN or choice.size != 1:
            draw = choice.draw if choice.ratio < 1 or choice.size != 1 else 0
            choice_spec = dataclasses.asdict(dataclasses.replace(choice, draw=draw))
            spec |= {"choice": choice_spec, "seed": self.config.seed}
        inputs = (rows.node.key, *([rejected.node.key] if rejected else []), *(text.node.key for text in texts))
        node = Node("training_set", 1, spec, inputs, label)
        return TrainingSetPlan(node, rows, texts, method, choice, self.config.seed, rejected)

    def source_rows(self, source: Spec, leaks: LeakagePlan | None = None, *, label: str = "") -> SourceRowsPlan:
        fingerprint = {
            **self._or_stand_in(lambda: SOURCES.create(source).fingerprint(), source),
            **SOURCES.plugin_spec(source.name),
        }
        spec = {"source": source.name, "rows": fingerprint}
        inputs = (leaks.node.key,) if leaks else ()
        return SourceRowsPlan(Node("source_rows", 1, spec, inputs, label or f"rows of {source.name}"), source, leaks)

    def _perturbed_rows(self, rows: SourceRowsPlan, method: Spec) -> PerturbedRowsPlan:
        words = SOURCES.get(rows.source.name).words
        spec = {"perturbation": self._method_spec(method), "seed": self.config.seed, "words": words}
        node = Node("perturbed_rows", 1, spec, (rows.node.key,), f"{rows.node.label} after {method.name}")
        return PerturbedRowsPlan(node, rows, method, self.config.seed)

    def _test_set(self, problem_set: str, perturbation: str, draw: int) -> TestSetPlan:
        evaluation = self.config.evaluation
        method, mark = self._usable(self.config.perturbation(perturbation, evaluation.compose))
        if evaluation.compat is not None:
            needed = PERTURBATIONS.required_arguments(method.name)
            method = Spec(
                method.name, {name: method.args[name] for name in needed}
            )  # ReCode's methods have no strength
        spec: dict[str, Any] = {
            "problems": self.problem_fingerprint(problem_set),
            "perturbation": self._method_spec(method),
            "limit": evaluation.limit,
            **mark,
        }
        if method.name != CLEAN:
            spec |= {"seed": self.config.seed, "compat": evaluation.compat, "draw": draw}
            spec |= self._words(problem_set)
        node = Node("test_set", 1, spec, (), f"test set {test_set_name(problem_set, perturbation, draw)}")
        problems = self.problem_specs[problem_set]
        return TestSetPlan(node, problems, method, self.config.seed, draw, evaluation.compat, evaluation.limit)

    def _words(self, problem_set: str) -> dict[str, int]:
        """Return the version of which words of a set's prompts may be perturbed."""
        try:
            return {"words": PROBLEMS.create(self.problem_specs[problem_set]).words}
        except UsageError:  # the check of the config tells it
            return {}

    def _problem_fingerprint(self, problem_set: str) -> dict[str, Any]:
        spec = self.problem_specs[problem_set]
        fingerprint = self._or_stand_in(lambda: PROBLEMS.create(spec).fingerprint(), spec)
        return {"name": spec.name, **fingerprint, **PROBLEMS.plugin_spec(spec.name)}

    def toolchain(self, problem_set: str) -> dict[str, str]:
        """Return what keys of verdicts name of the compiler of a set's programs; nothing for Python.

        Where there is none, programs can't be judged (the config's check refuses it), and sets can be made.
        """
        try:
            language = PROBLEMS.create(self.problem_specs[problem_set]).language
            return toolchain_key(language, self.config.execution.sandbox.cpp_flags)
        except UsageError:
            return {"toolchain": "missing"}

    def compilers(self) -> tuple[tuple[str, str], ...]:
        languages = set()
        for spec in self.problem_specs.values():
            with suppress(UsageError):  # the check of the config tells it
                languages.add(PROBLEMS.create(spec).language)
        return identities(languages, self.config.execution.sandbox.cpp_flags)

    def _usable(self, method: Spec) -> tuple[Spec, dict[str, Any]]:
        """Return a method with its ``auto`` arguments replaced, and what stands in keys for a missing translator.

        Without a translator, a mix leaves out the member that needs it; a method of its own is returned as it is.
        """
        try:
            return _pinned(method), {}
        except MissingInput:
            if not self._tolerant:
                raise
        mark = {"missing": method.as_dict()}
        language = {**method.args.get("language", {}), "translator": NO_TRANSLATOR}
        without = Spec(method.name, {**method.args, "language": language})
        try:
            return _pinned(without), mark
        except UsageError:  # no mix, or one whose members all translate
            return method, mark

    def _method_spec(self, method: Spec) -> dict[str, Any]:
        return self._or_stand_in(lambda: method_spec(method), method)

    def _or_stand_in(self, fingerprint: Callable[[], Mapping[str, Any]], spec: Spec) -> dict[str, Any]:
        """Return a fingerprint or, if its file or translator is missing and may be, what stands for it."""
        try:
            return dict(fingerprint())
        except MissingInput:
            if not self._tolerant:
                raise
        return {"missing": spec.as_dict()}


def _rows_label(source: RowSource) -> str:
    return f"rows of {source.name or source.rows.name}"


def _pinned(method: Spec) -> Spec:
    """Replace ``auto`` arguments by their values on this machine, so that all machines use the same ones."""
    return Spec(method.name, {**method.args, **PERTURBATIONS.create(method).pinned})


def _parts(method: Spec) -> Sequence[Spec]:
    try:
        return () if method.name == CLEAN else row_methods(method)
    except MissingInput:  # only a tolerant planner comes here
        return (method,)
