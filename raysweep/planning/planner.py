"""Builds the plan of a sweep from its config: each artefact with its key and its inputs.

Planning makes no artefact. It reads only the fingerprints of files and models, since keys depend on them, and the
number of problems where a sample of them is linted.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from fnmatch import fnmatch
from functools import cache
from typing import Any

from raysweep.config.grid import Cell, Pair, PairToEdit, build_grid
from raysweep.config.models import SelectConfig
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.generators.base import GENERATORS
from raysweep.models.families.base import FAMILIES
from raysweep.models.identity import WEIGHTS
from raysweep.planning.keys import ANSWERS, BEGINNINGS, adapter_spec, prompt_spec, recipe_spec
from raysweep.planning.plan import (
    BrokenSetPlan,
    CellPlan,
    EncodedPairsPlan,
    ModelChoice,
    PairPlan,
    PairSearch,
    ReferencesPlan,
    RewrittenSetPlan,
    SweepPlan,
    TestSetPlan,
    TrainingSetPlan,
    keys_of,
)
from raysweep.planning.quality import quality_plans
from raysweep.planning.sets import SetPlanner
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Lane, Limits
from raysweep.prompts.answers.ways import Extract, way_of
from raysweep.prompts.repair.styles import answers_in
from raysweep.prompts.templates import PromptTemplate, template_shown
from raysweep.records import BASE, CLEAN, EXAMPLES, REWRITTEN, Decoding, ModelKind
from raysweep.seeding import derive
from raysweep.storage.artefacts import Node, SharedSpec
from raysweep.storage.uses import SELECTION
from raysweep.trainers.base import BEST, OBJECTIVES, TRAINERS, Recipe
from raysweep.trainers.kinds import kind_of
from raysweep.trainers.objectives.rejected import VERSION as ENCODED

WHOLE = "whole"
"""What completions hold that end at no stop string of a problem, in their keys."""


def build_plan(config: SweepConfig, *, tolerant: bool = False) -> SweepPlan:
    """Return the plan of a config; raise UsageError if a model or file that it names can't be read.

    `tolerant`: what isn't here (`MissingInput`) gets a stand-in. Such a plan can be counted, but not run.
    """
    grid = build_grid(config)
    planner = _Planner(config, tolerant)
    cells = tuple(planner.cell(cell, grid.pairs_of(cell)) for cell in grid.cells)
    leakages = planner.sets.leakages(plan.cell.training_set for plan in cells if plan.is_fine_tuned)
    quality = quality_plans(config, cells, tolerant=tolerant)
    return SweepPlan(config, grid, (*cells, *planner.finding.values()), leakages, quality)


class _Planner:
    """Builds the parts of a plan, each distinct part once."""

    def __init__(self, config: SweepConfig, tolerant: bool) -> None:
        self.config = config
        self.tolerant = tolerant
        self.sets = SetPlanner(config, tolerant=tolerant)
        self.models = self.sets.models
        self.recipe = cache(self._recipe)
        self.references = cache(self._references)
        self._rewritten: dict[tuple[str, str], RewrittenSetPlan] = {}  # by model and key of the test set
        self.judged = cache(self._judged)
        self._bases: dict[str, CellPlan] = {}  # the base's own cell, by model; they come first
        self.finding: dict[str, CellPlan] = {}  # by model: the cell whose samples show what broke, where it is another
        self._candidates: dict[tuple[str, str, str, int], list[CellPlan]] = {}  # by the cell that they are for
        self.sandbox = dataclasses.replace(config.execution.sandbox, compilers=self.sets.compilers())
        self.decoding = config.evaluation.decoding(config.seed)

    def cell(self, cell: Cell, pairs: tuple[Pair, ...]) -> CellPlan:
        model = self.models.configs[cell.model]
        base = self.models.base(cell.model)
        asked = self.config.evaluation.prompt_format
        shown = template_shown(asked, False, PromptTemplate(model.template))  # only a served model needs it
        plan = CellPlan(
            cell,
            base,
            pairs=(),
            generator=self.models.generator(cell.model, shown.name)[0],
            decoding=self.decoding,
            prompt_format=asked,
            template=model.template,
            system=model.system_prompt,
            day=self.config.evaluation.date or "",
            template_arguments=model.template_arguments,
            stop=tuple(model.stop),
            batch_tokens=self.config.evaluation.batch_tokens,
        )
        if cell.edit is not None:
            plan = self._edited(plan, cell.edit)
            if self.config.edits and self.config.edits.new_draws and self.decoding.temperature:
                plan = replace(plan, decoding=self._other_draws("draws of edited models"))
        elif cell.training_set == EXAMPLES:
            plan = replace(plan, decoding=self._other_draws("draws for edit examples"))
        elif cell.training_set == REWRITTEN:
            plan = replace(plan, recipe=self.recipe(cell.model, cell.recipe)[0])
        elif cell.training_set != BASE:
            plan = self._tuned(plan) if cell.recipe in self.config.recipes else self._chosen(plan)
        ways = {name: self._extract(plan, name) for name in {pair.problem_set for pair in pairs}}
        by_set = {name: (self._completed(plan, way, name), way) for name, way in ways.items()}
        plan = replace(plan, pairs=tuple(self._pair(plan, pair, *by_set[pair.problem_set]) for pair in pairs))
        if cell.training_set == BASE:
            self._bases[cell.model] = plan
        return plan

    def _extract(self, plan: CellPlan, problem_set: str) -> Extract:
        shown = template_shown(plan.prompt_format, plan.is_fine_tuned, PromptTemplate(plan.template))
        if answer := answers_in(shown.name):
            return Extract(answer.value)
        is_chat = shown.needs_tokenizer or GENERATORS.get(plan.generator.name).chats(plan.generator.args)
        is_chat = is_chat or self.sets.asks(problem_set)
        return way_of(self.config.evaluation.extract, is_chat=is_chat)

    def _tuned(self, plan: CellPlan) -> CellPlan:
        cell = plan.cell
        recipe, spec = self.recipe(cell.model, cell.recipe)
        training_set = self.sets.fine_tuning_set(cell.training_set)
        validation = self.sets.validation_set(cell.training_set)
        deciding = validation if recipe.keep == BEST else None  # which weights are the model
        made_from = keys_of(plan.base, training_set, deciding)
        node = Node("model", 1, {**spec, "seed": cell.seed}, made_from, cell.id)
        plan = replace(
            plan,
            model=node,
            training_set=training_set,
            recipe=recipe,
            validation=validation,
            pairs_of_rows=self._encoded_pairs(plan, recipe, training_set),
            keeps_model=self.config.keep_models != "adapters" or kind_of(recipe.trainer) is not ModelKind.FULL,
        )
        written = self.config.recipes[cell.recipe]
        if not written.is_candidate or written.group is None:
            return plan
        keeps_unchosen = plan.keeps_model and self.config.keep_models != "chosen"
        plan = replace(plan, is_candidate=True, keeps_unchosen=keeps_unchosen)
        self._candidates.setdefault((cell.model, written.group, cell.training_set, cell.seed), []).append(plan)
        return plan

    def _chosen(self, plan: CellPlan) -> CellPlan:
        cell = plan.cell
        candidates = tuple(self._candidates[cell.model, cell.recipe, cell.training_set, cell.seed])
        select = self.config.recipes[candidates[0].cell.recipe].select
        assert isinstance(select, SelectConfig) and candidates[0].validation is not None
        models = sorted(set(keys_of(*(one.model for one in candidates))))  # neither names nor their order count
        made_from = (*models, *keys_of(candidates[0].validation))
        node = Node(SELECTION, 1, {"by": select.by}, made_from, f"choice of {cell.id}")
        return replace(
            plan,
            training_set=candidates[0].training_set,
            selection=ModelChoice(node, candidates, select.by),
            keeps_model=candidates[0].keeps_model,
        )

    def _edited(self, plan: CellPlan, wanted: PairToEdit) -> CellPlan:
        cell, base = plan.cell, self._bases[plan.cell.model]
        of_set = [pair for pair in base.pairs if pair.pair.problem_set == wanted.problem_set]
        on = {pair.pair.perturbation: pair for pair in of_set if not pair.pair.draw}
        if CLEAN not in on or wanted.perturbation not in on:
            raise UsageError(
                f"`edits` asks for edit examples of {wanted.problem_set} {wanted.perturbation}, but model {cell.model} "
                "is not evaluated on that set or on clean prompts; add them to `evaluation.perturbations`"
            )
        original, perturbed = on[CLEAN], on[wanted.perturbation]
        which: dict[str, Any] = {"problem_set": wanted.problem_set, "perturbation": wanted.perturbation}
        what, of = ("problem", wanted.problems) if wanted.problems else ("number", wanted.numbers)
        which |= {what: of[0]} if wanted.examples == 1 else {f"{what}s": list(of)}
        which |= {} if wanted.problems else {"seed": cell.seed}
        assert self.config.edits is not None
        least = self.config.edits.least_lost
        which |= {"least_lost": least} if least > 1 / base.decoding.samples else {}  # else any loss is as large
        found_in, scored = base, (original, perturbed)
        if self.config.edits.found_on == "own" and self.decoding.temperature:
            found_in = self._finding(base)
            original, perturbed = (found_in.pair_on(wanted.problem_set, of) for of in (CLEAN, wanted.perturbation))
        made_from = dict.fromkeys(keys_of(*(pair.results for pair in (original, perturbed, *scored))))
        node = Node("prompt_pair", 1, which, tuple(made_from), f"pair of {cell.id}")
        recipe, spec = self.recipe(cell.model, cell.recipe)
        # prompts, limits and extraction are those of the base's results, on which the pair's key depends
        model = Node("model", 1, {**spec, "seed": cell.seed}, keys_of(plan.base, node), cell.id)
        return replace(
            plan,
            model=model,
            recipe=recipe,
            pair_search=PairSearch(node, base, found_in, scored, original, perturbed, wanted, cell.seed, least),
        )

    def _finding(self, base: CellPlan) -> CellPlan:
        """Return the cell of a base whose samples show what broke, on the test sets of all edit examples."""
        model, edits = base.cell.model, self.config.edits
        if model not in self.finding and edits is not None:
            of = {CLEAN, *edits.perturbations}
            cell = replace(base.cell, training_set=EXAMPLES)
            pairs = [pair.pair for pair in base.pairs if pair.pair.perturbation in of and not pair.pair.draw]
            self.finding[model] = self.cell(cell, tuple(replace(pair, cell=cell) for pair in pairs))
        return self.finding[model]

    def _other_draws(self, name: str) -> Decoding:
        return replace(self.decoding, seed=derive(self.config.seed, name) % 2**31)

    def _recipe(self, model: str, name: str) -> tuple[Recipe, dict[str, Any]]:
        base, written = self.models.base(model), self.models.configs[model]
        day = self.config.evaluation.date or ""
        recipe = self.config.recipes[name].recipe(
            written.template, written.system_prompt, day, written.template_arguments
        )
        spec = {
            # the dtype in which the base generates is not part of it: training has a precision of its own
            "base": {**base.identity, "dtype": "float32"} if "dtype" in base.identity else base.identity,
            **({"quantize": base.quantize} if base.quantize else {}),
            "family": base.family,
            **FAMILIES.plugin_spec(base.family),
            "recipe": recipe_spec(recipe, self.models.template_facts(model, written.template, ANSWERS)),
            **(adapter_spec(recipe, base.family) if base.family else {}),
        }
        return recipe, spec

    def _completed(self, plan: CellPlan, extract: Extract, problem_set: str) -> SharedSpec:
        """Return the spec of a cell's completions on a problem set, at whose stop strings they end, or else whole."""
        is_trained = plan.model is not None or plan.selection is not None
        ends: dict[str, Any] = {"answers": WHOLE}
        if not extract.needs_whole_answers:
            ends = {"stops": PROBLEMS.get(self.sets.problem_specs[problem_set].name).stops}
        shown = template_shown(plan.prompt_format, plan.is_fine_tuned, PromptTemplate(plan.template))
        writing = self.models.writing_spec(plan.cell.model, shown.name, plan.decoding, is_trained=is_trained)
        shows = "" if self.sets.asks(problem_set) else BEGINNINGS
        prompt = prompt_spec(plan, self.models.template_facts(plan.cell.model, shown.name, shows))
        return SharedSpec({**writing, "prompt": prompt, "stop": list(plan.stop), **ends})

    def _pair(self, plan: CellPlan, pair: Pair, completed: SharedSpec, extract: Extract) -> PairPlan:
        as_it_is = self.sets.test_set(pair.problem_set, pair.perturbation, pair.draw)
        test_set: TestSetPlan | RewrittenSetPlan | BrokenSetPlan = as_it_is
        if plan.cell.training_set == REWRITTEN:
            name = plan.cell.model, as_it_is.node.key
            if name not in self._rewritten:
                self._rewritten[name] = self.sets.rewritten_set(plan.cell.model, as_it_is)
            test_set = self._rewritten[name]
        if plan.pair_search is not None and self.config.edits and self.config.edits.judged_on == "broken":
            search = plan.pair_search
            if pair.perturbation not in (CLEAN, search.wanted.perturbation):
                perturbed = search.found_in.pair_on(pair.problem_set, pair.perturbation)
                search = replace(search, perturbed=perturbed)
            test_set = self._broken_set(search, as_it_is)
        label = f"{plan.cell.id} on {pair.test_set}"
        completions = Node("completions", 1, completed, keys_of(plan.writer, test_set), label)
        references = self.references(pair.problem_set)
        judged = self.judged(pair.problem_set, extract)
        results = Node("results", 1, judged, keys_of(completions, references), label)
        return PairPlan(pair, test_set, completions, results, references.limits, references, self.sandbox, extract)

    def _broken_set(self, search: PairSearch, test_set: TestSetPlan) -> BrokenSetPlan:
        spec = {"least_lost": search.least_lost, "problems": test_set.node.spec["problems"]}
        made_from = keys_of(test_set, search.original.results, search.perturbed.results)
        label = f"{test_set.node.label} as far as it broke for {search.base.cell.model}"
        return BrokenSetPlan(Node("broken_set", 1, spec, made_from, label), test_set, search)

    def _judged(self, problem_set: str, extract: Extract) -> SharedSpec:
        limits = dataclasses.asdict(self._limits(problem_set))
        fingerprint = self.sets.problem_fingerprint(problem_set)
        lane, chain = self.config.execution.lane, self.sets.runtime_key(problem_set)
        return SharedSpec(limits=limits, lane=lane, problems=fingerprint, **chain, **extract.key)

    def _limits(self, problem_set: str) -> Limits:
        return self.config.execution.limits(PROBLEMS.get(self.sets.problem_specs[problem_set].name).limits)

    def _references(self, problem_set: str) -> ReferencesPlan:
        least = PROBLEMS.get(self.sets.problem_specs[problem_set].name).least_timeout
        factor = self.config.execution.reference_factor
        limits = self._limits(problem_set)
        limit = self.config.evaluation.limit
        spec: dict[str, Any] = {
            "problems": self.sets.problem_fingerprint(problem_set),
            "limits": dataclasses.asdict(limits),
            "factor": factor,
            **self.sets.runtime_key(problem_set),
            "limit": limit,
        }
        spec |= {"least": least} if factor and least != ProblemSet.least_timeout else {}
        node = Node("references", 1, spec, (), f"references of {problem_set}")
        sandbox = dataclasses.replace(self.sandbox, lane=Lane.STRICT)
        return ReferencesPlan(node, self.sets.problem_specs[problem_set], limits, factor, least, sandbox, limit)

    def _encoded_pairs(self, plan: CellPlan, recipe: Recipe, rows: TrainingSetPlan) -> EncodedPairsPlan | None:
        """Return the plan of a set's pairs that all recipes share; None where a recipe encodes its rows itself.

        With rehearsal some rows are shown with another text, which the training's seed decides.
        """
        base = plan.base
        reads = TRAINERS.get(recipe.trainer).uses_objective and OBJECTIVES.get(recipe.objective).reads_pairs
        if not reads or recipe.rehearsal:
            return None
        # models that differ in their weights alone share pairs
        identity = {name: value for name, value in base.identity.items() if name not in ("dtype", "attention")}
        if "files" in identity:
            weights = [
                name for name in identity["files"] if any(fnmatch(name, of) for of in (*WEIGHTS, "*.index.json"))
            ]
            identity["files"] = {name: of for name, of in identity["files"].items() if name not in weights}
        spec = {"tokenizer": identity, "template": recipe.template, "system": recipe.system}
        spec |= self.models.template_facts(plan.cell.model, recipe.template, ANSWERS)
        label = f"pairs of {rows.node.label} for {base.name}"
        node = Node("encoded_pairs", ENCODED, spec, keys_of(base, rows), label)
        shown = (recipe.template, recipe.system, recipe.day, recipe.template_arguments)
        return EncodedPairsPlan(node, base, rows, *shown)
