"""Plans the training and test sets of a config, and the search for leaks, without reading any model."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from raysweep.config.grid import test_set_name
from raysweep.config.schema import SweepConfig
from raysweep.config.training import RowSource
from raysweep.errors import MissingInput, UsageError, did_you_mean
from raysweep.execution.runtimes import identities, runtime_key
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
    keys_of,
)
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Limits
from raysweep.prompts.rewriting import DECODING
from raysweep.prompts.rewriting import VERSION as REWRITING
from raysweep.records import CLEAN, Decoding, Spec
from raysweep.storage.artefacts import Node
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.leakage import VERSION as LEAK_RULES
from raysweep.training_sets.rejected.pair_filters import PairFilters
from raysweep.training_sets.rejected.rejecting import VERSION as REJECTING
from raysweep.training_sets.rejected.teacher import ANSWER, PROMPT
from raysweep.training_sets.rejected.teacher import VERSION as TAUGHT
from raysweep.training_sets.selection import Choice

if TYPE_CHECKING:
    from raysweep.config.fields import RejectedConfig, SourceConfig

LIMITS = Limits()
"""Of programs that show whether a changed response is wrong."""


def build_data_sets(config: SweepConfig) -> tuple[dict[str, TrainingSetPlan | TestSetPlan], tuple[LeakagePlan, ...]]:
    """Return the sets of a config by the names ``training-NAME`` and ``PROBLEMS-NAME``, and the plans of the leaks.

    Raises:
        UsageError: a file that the config names can't be read.
    """
    planner, evaluation = SetPlanner(config), config.evaluation
    trained = [trained.name for trained in (config.training.sets if config.training else [])]
    named: dict[str, TrainingSetPlan | TestSetPlan] = {f"training-{n}": planner.fine_tuning_set(n) for n in trained}
    labels = [problems.label for problems in evaluation.problems]
    tests = [(of, name, draw) for of in labels for name in evaluation.perturbations for draw in config.draws_of(name)]
    named |= {test_set_name(*test).replace(" ", "-"): planner.test_set(*test) for test in tests}
    return named, planner.leakages(trained)


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
        source, drops = training.source_of(name), training.decontaminate == "drop"
        rows = self._named_rows(source, self._leakage(source.name) if drops else None)
        problems = self._leakable(source.rows) if drops else ()
        wanted = source.rows.rejected
        rejected = self._rejected_rows(rows, wanted, source.name, problems)
        paired_only = wanted is not None and wanted.unpaired == "drop"
        label = f"training set {name}"
        return self._training_set(rows, set_config.perturbation, set_config.choice, label, rejected, paired_only)

    def validation_set(self, training_set: str) -> TrainingSetPlan | None:
        assert self.config.training is not None
        return self._validation(self.config.training.source_of(training_set).name)

    def _validation_of(self, source: str) -> TrainingSetPlan | None:
        written = self._source(source).validation
        if written is None:
            return None
        label = f"validation rows of {source}" if source else "validation rows"
        rows = self._source_rows(written.spec(SOURCES, self.config.seed), label)
        # a row that leaks is an error, and a response that does is left out as it is made
        rejected = self._rejected_rows(rows, written.rejected, label, self._leakable(written))
        return self._training_set(rows, CLEAN, Choice(), label, rejected)

    def _source(self, name: str) -> RowSource:
        assert self.config.training is not None
        return next(source for source in self.config.training.row_sources if source.name == name)

    def _pretraining_set(self, source: Spec, perturbation: str) -> TrainingSetPlan:
        """Return a source's rows as they are, or every second one perturbed."""
        rows = self._source_rows(source, f"rows of {source.name}")
        choice = Choice() if perturbation == CLEAN else Choice(ratio=0.5)
        return self._training_set(rows, perturbation, choice, f"pre-training rows {source.name}")

    def leakages(self, training_sets: Iterable[str]) -> tuple[LeakagePlan, ...]:
        if (training := self.config.training) is None:
            return ()
        searched = {training.source_of(name).name for name in training_sets}
        plans = [self._leakage(source.name) for source in training.row_sources if source.name in searched]
        return tuple(plan for plan in plans if plan is not None)

    def _leakage_of(self, name: str) -> LeakagePlan | None:
        training, source = self.config.training, self._source(name)
        if not (problems := self._leakable(source.rows)):
            return None
        assert training is not None
        rows = self._named_rows(source)
        # where leaking rows are left out, responses that leak are left out as they are made
        rejected = self._rejected_rows(rows, source.rows.rejected, name) if training.decontaminate == "report" else None
        rules = self._leak_rules(problems)
        node = Node("leakage", 1, rules, keys_of(rows, rejected), f"leaks in {rows.node.label}")
        return LeakagePlan(node, rows, problems, name, rejected)

    def _leakable(self, source: SourceConfig) -> tuple[tuple[str, Spec], ...]:
        apart = SOURCES.get(source.name).apart_from
        return tuple((name, spec) for name, spec in self.problem_specs.items() if spec.name not in apart)

    def _leak_rules(self, problems: Iterable[tuple[str, Spec]]) -> dict[str, Any]:
        return {"rules": LEAK_RULES, "problems": [self.problem_fingerprint(name) for name, _ in problems]}

    def _rejected_rows(
        self,
        rows: SourceRowsPlan,
        rejected: RejectedConfig | None,
        name: str,
        problems: tuple[tuple[str, Spec], ...] = (),
    ) -> RejectedRowsPlan | None:
        """Return the plan of a source's rejected responses; None where its rows bring them, or none are wanted.

        `name`: what the config calls the source. `problems`: problem sets that no response may give away.
        """
        if rejected is None or rejected.field is not None:
            return None
        label, answers, text = f"rejected responses of {name or rows.source.name}", None, rejected.rejected_text
        spec: dict[str, Any] = {"limits": dataclasses.asdict(LIMITS)}
        if rejected.mutator is not None:
            filters = PairFilters(True, rejected.similarity, 0)
            spec |= {"mutator": rejected.mutator, "version": REJECTING}
            spec |= {"seed": rejected.seed, "similarity": rejected.similarity}
        else:
            filters = PairFilters(
                "equal" in rejected.filters,
                rejected.similarity if "similarity" in rejected.filters else 0.0,
                rejected.tokens if "tokens" in rejected.filters else 0,
                "fence" in rejected.filters,
            )
            answers = self._teacher_answers(rows, rejected, needs_fences=text != ANSWER or filters.fence)
            spec |= {"text": text, "version": TAUGHT, "filters": dataclasses.asdict(filters)}
            label += f" by {answers.base.name}"
        if problems:
            spec["leaks"] = self._leak_rules(problems)
        if SOURCES.get(rows.source.name).may_have_tests():
            # models are trained on responses that failed, so that a stricter level makes both anew
            spec["level"] = self.config.execution.sandbox.require.value
        node = Node("rejected_rows", 1, spec, keys_of(rows, answers), label)
        return RejectedRowsPlan(node, rows, rejected.seed, filters, LIMITS, answers, text, problems)

    def _teacher_answers(
        self, rows: SourceRowsPlan, rejected: RejectedConfig, *, needs_fences: bool
    ) -> TeacherAnswersPlan:
        name = rejected.teacher or ""
        if name not in self.models.configs:
            raise UsageError(f"no model is called {name!r}, the teacher{did_you_mean(name, self.models.configs)}")
        decoding = Decoding(rejected.max_new_tokens, rejected.temperature, rejected.top_p, 1, rejected.seed)
        label = f"answers of the teacher {name} about {rows.node.label}"
        asked = self._asked(name, decoding, {"teacher": text_sha(PROMPT)}, rows, label)
        return TeacherAnswersPlan(**asked, rows=rows, decoding=decoding, needs_fences=needs_fences)

    def rewritten_set(self, name: str, test_set: TestSetPlan) -> RewrittenSetPlan:
        label = f"{test_set.node.label} rewritten by {name}"
        asked = self._asked(name, DECODING, {"rewriting": REWRITING}, test_set, f"texts of {label}")
        texts = RewrittenTextsPlan(**asked, test_set=test_set)
        spec = {"rewriting": REWRITING, "problems": test_set.node.spec["problems"]}
        return RewrittenSetPlan(Node("rewritten_set", 1, spec, keys_of(texts, test_set), label), texts, test_set)

    def _asked(
        self, name: str, decoding: Decoding, asks: Mapping[str, Any], about: SourceRowsPlan | TestSetPlan, label: str
    ) -> dict[str, Any]:
        """Return the fields of an `AskingPlan`; a model with a chat template is asked through that."""
        base, model = self.models.base(name), self.models.configs[name]
        template = model.asked_in(has_chat_template=base.traits is not None and base.traits.has_chat_template)
        facts = self.models.template_facts(name, template)
        prompt = {**asks, "template": template, "system": model.system_prompt, **facts}
        spec = {**self.models.writing_spec(name, template, decoding), "prompt": prompt, "stop": list(model.stop)}
        return {
            "node": Node("completions", 1, spec, keys_of(base, about), label),
            "base": base,
            "generator": self.models.generator(name, template)[0],
            "template": template,
            "system": model.system_prompt,
            "day": self.config.evaluation.date or "",
            "template_arguments": model.template_arguments,
            "stop": tuple(model.stop),
            "batch_tokens": self.config.evaluation.batch_tokens,
        }

    def _training_set(
        self,
        rows: SourceRowsPlan,
        perturbation: str,
        choice: Choice,
        label: str,
        rejected: RejectedRowsPlan | None = None,
        paired_only: bool = False,
    ) -> TrainingSetPlan:
        method, mark = self._usable(self.config.perturbation(perturbation, choice.compose))
        if choice.ratio == 0 or method.name == CLEAN:
            method = Spec(CLEAN)  # 0 % of anything is the clean set
            choice = Choice(0.0, choice.draw, choice.size) if choice.size != 1 else Choice()
        texts = tuple(self._perturbed_rows(rows, part) for part in self._parts(method))
        spec: dict[str, Any] = {"perturbation": method.name, **mark}
        spec |= {"paired_only": True} if paired_only else {}
        if method.name != CLEAN or choice.size != 1:
            draw = choice.draw if choice.ratio < 1 or choice.size != 1 else 0
            choice_spec = dataclasses.asdict(dataclasses.replace(choice, draw=draw))
            spec |= {"choice": choice_spec, "seed": self.config.seed}
        node = Node("training_set", 1, spec, keys_of(rows, rejected, *texts), label)
        return TrainingSetPlan(node, rows, rejected, texts, method, choice, self.config.seed, paired_only)

    def _named_rows(self, of: RowSource, leaks: LeakagePlan | None = None) -> SourceRowsPlan:
        label = f"rows of {of.name or of.rows.name}"
        return self._source_rows(of.rows.spec(SOURCES, self.config.seed), label, leaks)

    def _source_rows(self, source: Spec, label: str, leaks: LeakagePlan | None = None) -> SourceRowsPlan:
        fingerprint = self._or_stand_in(lambda: self.config.part(SOURCES, source).fingerprint(), source)
        spec = {"source": source.name, "rows": {**fingerprint, **SOURCES.plugin_spec(source.name)}}
        return SourceRowsPlan(Node("source_rows", 1, spec, keys_of(leaks), label), source, leaks)

    def _perturbed_rows(self, rows: SourceRowsPlan, method: Spec) -> PerturbedRowsPlan:
        words = SOURCES.get(rows.source.name).words
        spec = {"perturbation": self._method_spec(method), "seed": self.config.seed, "words": words}
        node = Node("perturbed_rows", 1, spec, keys_of(rows), f"{rows.node.label} after {method.name}")
        return PerturbedRowsPlan(node, rows, method, self.config.seed)

    def _test_set(self, problem_set: str, perturbation: str, draw: int) -> TestSetPlan:
        evaluation = self.config.evaluation
        method, mark = self._usable(self.config.perturbation(perturbation, evaluation.compose))
        if evaluation.compat is not None:
            needed = PERTURBATIONS.required_arguments(method.name)
            # ReCode's methods have no strength
            method = Spec(method.name, {name: method.args[name] for name in needed})
        spec: dict[str, Any] = {
            "problems": self.problem_fingerprint(problem_set),
            "perturbation": self._method_spec(method),
            "limit": evaluation.limit,
            **mark,
        }
        if method.name != CLEAN:
            spec |= {"seed": self.config.seed, "compat": evaluation.compat, "draw": draw}
            built = self._problem_set(problem_set)
            spec |= {"words": built.words} if built else {}
        node = Node("test_set", 1, spec, (), f"test set {test_set_name(problem_set, perturbation, draw)}")
        problems = self.problem_specs[problem_set]
        return TestSetPlan(node, problems, method, self.config.seed, draw, evaluation.compat, evaluation.limit)

    def _problem_set(self, name: str) -> ProblemSet | None:
        """Return a problem set; None where it can't be built, which the check of the config tells."""
        try:
            return self.config.part(PROBLEMS, self.problem_specs[name])
        except UsageError:
            return None

    def asks(self, problem_set: str) -> bool:
        """Return whether a set's prompts ask for a program in words, so that an answer is that of a chat."""
        built = self._problem_set(problem_set)
        return built is not None and built.asks

    def _problem_fingerprint(self, problem_set: str) -> dict[str, Any]:
        spec = self.problem_specs[problem_set]
        fingerprint = self._or_stand_in(lambda: self.config.part(PROBLEMS, spec).fingerprint(), spec)
        return {"name": spec.name, **fingerprint, **PROBLEMS.plugin_spec(spec.name)}

    def runtime_key(self, problem_set: str) -> dict[str, str]:
        """Return what keys of verdicts name of a set's Python, and of its compiler or environment.

        Where there is none, programs can't be judged (the config's check refuses it), and sets can be made.
        """
        try:
            runtime = self.config.part(PROBLEMS, self.problem_specs[problem_set]).runtime
            return runtime_key(runtime, self.config.execution.sandbox)
        except UsageError:
            return {"python": platform.python_version(), "toolchain": "missing"}

    def compilers(self) -> tuple[tuple[str, str], ...]:
        runtimes = {built.runtime for name in self.problem_specs if (built := self._problem_set(name))}
        return identities(runtimes, self.config.execution.sandbox)

    def _usable(self, method: Spec) -> tuple[Spec, dict[str, Any]]:
        """Return a method with its ``auto`` arguments replaced, and what stands in keys for a missing translator.

        Without a translator, a mix leaves out the member that needs it; a method of its own is returned as it is.
        """
        try:
            return self._pinned(method), {}
        except MissingInput:
            if not self._tolerant:
                raise
        mark = {"missing": method.as_dict()}
        language = {**method.args.get("language", {}), "translator": NO_TRANSLATOR}
        without = Spec(method.name, {**method.args, "language": language})
        try:
            return self._pinned(without), mark
        except UsageError:  # no mix, or one whose members all translate
            return method, mark

    def _pinned(self, method: Spec) -> Spec:
        """Replace ``auto`` arguments by their values on this machine, so that all machines use the same ones."""
        return Spec(method.name, {**method.args, **self.config.part(PERTURBATIONS, method).pinned})

    def _parts(self, method: Spec) -> Sequence[Spec]:
        try:
            return () if method.name == CLEAN else row_methods(self.config.part(PERTURBATIONS, method), method)
        except MissingInput:  # only a tolerant planner comes here
            return (method,)

    def _method_spec(self, method: Spec) -> dict[str, Any]:
        return self._or_stand_in(lambda: method_spec(method, self.config.part(PERTURBATIONS, method)), method)

    def _or_stand_in(self, fingerprint: Callable[[], Mapping[str, Any]], spec: Spec) -> dict[str, Any]:
        """Return a fingerprint or, if its file or translator is missing and may be, what stands for it."""
        try:
            return dict(fingerprint())
        except MissingInput:
            if not self._tolerant:
                raise
        return {"missing": spec.as_dict()}
