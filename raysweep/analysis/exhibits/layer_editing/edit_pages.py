"""Kind ``edit-pages``: the page of each pair: its prompts, RI by block, completions before and after each edit.

They are on the report's page only. The first pairs of each model and category come first where there are too many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.answers import Answer, ShownAnswer
from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.edit_pages import PairPage, ShownBlocks, ShownEdit
from raysweep.analysis.exhibits.edits import ReportedEdit
from raysweep.analysis.exhibits.layer_editing.block_heat import in_words, restorations
from raysweep.analysis.exhibits.layer_editing.block_map import best_blocks
from raysweep.analysis.exhibits.layer_editing.edit_rows import seconds_of
from raysweep.analysis.exhibits.layer_editing.sums import RESTORED, grouped
from raysweep.metrics.base import CellLabels
from raysweep.records import BASE, CLEAN, NOT_TUNED, PromptPair
from raysweep.units import count

NO_VERDICT = "no verdict"
Place = tuple[str, str, str, str, int]  # problem set, model, category, pair, seed


@EXHIBITS.register("edit-pages")
class EditPages(Exhibit):
    """A page for each edit example from which a model was edited; of some of them where there are many."""

    has_table: ClassVar[bool] = False
    subject: ClassVar[Need] = EDITED_MODELS
    place: ClassVar[str] = "layer_editing/08-edit-pages"

    id: Id = "edit-pages"
    title: Text = "Edit examples and what became of them"
    pairs: Annotated[int, Field(ge=1)] = 400
    """Most pairs that are shown."""
    characters: Annotated[int, Field(ge=100)] = 2000
    """Most characters of a completion."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        places: dict[Place, list[tuple[str, ReportedEdit]]] = {}
        for group, edits in grouped(evidence.edits.made).items():
            for edit in edits:
                cell = edit.cell
                place = (group.problem_set, group.model, group.category, cell.training_set, cell.seed)
                places.setdefault(place, []).append((group.method, edit))
        known = {place: edits for place, edits in places.items() if any(edit.pairs for _, edit in edits)}
        if not known:
            raise NothingToDraw("it has no edit example that a model was edited from")
        seen: Counter[tuple[str, ...]] = Counter()  # places of a model and category so far
        ranked = []
        for number, place in enumerate(known):
            ranked.append((seen[place[:3]], number, place))
            seen[place[:3]] += 1
        chosen = {place for *_, place in sorted(ranked)[: self.pairs]}
        pages = tuple(self._page(evidence, place, known[place]) for place in known if place in chosen)
        return Drawn(pairs=pages, pairs_left_out=len(known) - len(pages))

    def _page(self, evidence: Evidence, place: Place, edits: Sequence[tuple[str, ReportedEdit]]) -> PairPage:
        problems, model, category, name, _ = place
        pair, *others = next(edit.pairs for _, edit in edits if edit.pairs)
        group = " · ".join((model, problems, evidence.frame.order.test_label(category)))
        before = (
            ShownAnswer("base on the original prompt", True, "passed", self._cut(pair.passing)),
            ShownAnswer(
                "base on the perturbed prompt", False, _failure(evidence, place, pair), self._cut(pair.failing)
            ),
        )
        shown = [self._edit(evidence, method, edit, pair) for method, edit in edits]
        task = f"{pair.task_id}, the first of {1 + len(others)} examples" if others else pair.task_id
        return PairPage(group, name, task, pair.original, pair.perturbed, before, shown)

    def _edit(self, evidence: Evidence, method: str, edit: ReportedEdit, pair: PromptPair) -> ShownEdit:
        chosen = edit.work.block if edit.work is not None else None
        return ShownEdit(
            method,
            edit.ended or ("" if edit.work is not None else "not made"),
            list(_facts(edit)),
            [ShownBlocks(in_words(patched), rows, chosen) for patched, rows in restorations(edit.localization).items()],
            list(self._after(evidence, edit, pair)),
        )

    def _after(self, evidence: Evidence, edit: ReportedEdit, pair: PromptPair) -> Iterator[ShownAnswer]:
        if edit.work is None:
            return
        for test, label in ((edit.perturbation, "perturbed"), (CLEAN, "original")):
            answers = evidence.answers.of_task(edit.cell, (edit.problem_set, test), pair.task_id)
            first = next((answer for answer in answers if answer.sample == 0), None)
            if first is not None:
                yield ShownAnswer(
                    f"edited, on the {label} prompt", first.passed, _verdict(first), self._cut(first.text)
                )

    def _cut(self, text: str) -> str:
        return text if len(text) <= self.characters else f"{text[: self.characters]} …"


def _failure(evidence: Evidence, place: Place, pair: PromptPair) -> str:
    problems, model, category, _, seed = place
    known = (cell for cell in evidence.frame.cells() if (cell[0], cell[2]) == (model, BASE))
    base = CellLabels(*next(known, (model, NOT_TUNED, BASE, seed)))  # a base has one seed, however many edits have
    answers = evidence.answers.of_task(base, (problems, category), pair.task_id)
    return next((_verdict(answer) for answer in answers if answer.passed is False), "failed")


def _facts(edit: ReportedEdit) -> Iterator[str]:
    if edit.is_judged:
        share = edit.accuracy.restored
        yield f"restored {RESTORED.format(share.value)} %" if not math.isnan(share.value) else "restored: undefined"
    work = edit.work
    if work is None:
        return
    if work.block is not None:
        yield f"block {work.block} of 0 to {work.blocks - 1}" if work.blocks else f"block {work.block}"
    yield from _localized(edit)
    if not math.isnan(work.relative_change):
        yield f"||dW|| {100 * work.relative_change:.2f} % of ||W||"
    if not math.isnan(seconds := seconds_of(work)):
        yield f"{seconds:.1f} s"
    if work.changes_nothing:
        yield f"without effect: {work.changes_nothing}"


def _localized(edit: ReportedEdit) -> Iterator[str]:
    found, best = edit.found, best_blocks(edit)
    if found is None:
        return
    original, perturbed = (f"{100 * share:.0f} %" for share in (found.accuracy_original, found.accuracy_perturbed))
    yield f"Acc_ori {original}, Acc_pert {perturbed} of {count(found.samples, 'sample')}"
    if len(best) > 1:
        blocks = f"blocks {', '.join(map(str, best))}"
        if len(best) == len([row for row in edit.deciding if row.block >= 0]):
            blocks = "all blocks"
        equally = f"{blocks} restored equally much" if found.restoration > 0 else "no block restored anything"
        yield f"{equally}; distance chose block {found.block}"


def _verdict(answer: Answer) -> str:
    return NO_VERDICT if answer.passed is None else answer.outcome.replace("_", " ")
