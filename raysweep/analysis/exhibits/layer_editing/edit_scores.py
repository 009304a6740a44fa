"""Kind ``edit-scores``: what edits restore, and clean pass@1 after them, by model, category, and method or block.

The methods are editors and Self-Denoising, which changes prompts and no weights. The share restored is G-RIR, see
`raysweep.metrics.restoration`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from typing_extensions import override

from raysweep.analysis.comparisons.estimate import Estimate
from raysweep.analysis.exhibits.base import (
    EDITED_MODELS,
    EDITS,
    EXHIBITS,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Need,
    NothingToDraw,
)
from raysweep.analysis.exhibits.edits import AUTO, RewrittenPrompts
from raysweep.analysis.exhibits.layer_editing.sums import (
    CLEAN_CHANGE,
    RESTORED,
    EditGroup,
    R,
    Sums,
    at_blocks,
    grouped,
    no_evidence,
    over_categories,
    sum_cell,
    sums_of_edits,
    sums_of_rewritten,
    with_others,
)
from raysweep.analysis.tables import records
from raysweep.analysis.tables.quantities import PASS, Quantity, share_cell
from raysweep.analysis.tables.table import Table, TableCell
from raysweep.errors import did_you_mean
from raysweep.metrics.restoration import GAIN
from raysweep.records import CLEAN
from raysweep.stats.intervals import COVERAGE
from raysweep.units import count

Dimension = Literal["model", "category", "method", "block"]
WORDS = {AUTO: "found (l*)", "random": "random", "dinm": "DINM's"}
NEAR = 0.01
"""A clean accuracy is as before within one point."""
WITHIN, BEYOND, UNSHOWN = "yes", "no", "not shown"
"""Whether clean accuracy is within one point of what it was."""
FEWEST_WITHIN = math.ceil(math.log(1 - COVERAGE) / math.log(1 - NEAR)) - 1
"""Problems whose equal verdicts have an interval within one point; see `raysweep.stats.bootstrap.even_interval`."""


def within_cell(change: Estimate | None) -> TableCell:
    """Return the cell that says whether a difference of clean pass@1 is within one point."""
    if change is None:
        return TableCell()
    if change.low >= -NEAR and change.high <= NEAR:
        return TableCell.said(WITHIN)
    if change.low > NEAR or change.high < -NEAR:
        return TableCell.said(BEYOND)
    few = f"{count(change.n, 'problem')} are too few to show it" if change.n < FEWEST_WITHIN else ""
    return TableCell.said(UNSHOWN, few)


@dataclass(frozen=True)
class SumColumn(records.Field[Sums]):
    """A column of sums. `said`: what the caption says of it."""

    said: str = ""


PASSED, OWN, KEPT = "pass@1 (%)", "own prompt", "clean pass@1"
COLUMNS: Mapping[str, SumColumn] = {
    "edits": SumColumn("edits", lambda sums: sums.edits),
    "base original": SumColumn("base, original", lambda sums: share_cell(sums.original), group=PASSED),
    "base perturbed": SumColumn("base, perturbed", lambda sums: share_cell(sums.perturbed), group=PASSED),
    "repaired": SumColumn("repaired", lambda sums: sum_cell(sums.repaired, PASS), group=PASSED),
    "relative gain": SumColumn(
        f"{GAIN} (%)",
        lambda sums: sum_cell(sums.gain, Quantity(GAIN, GAIN, signed=True)),
        said="Relative gain: (repaired − perturbed) / perturbed.",
    ),
    "restored": SumColumn(
        RESTORED.heading,
        lambda sums: sum_cell(sums.restored, RESTORED),
        said=(
            "Restored (G-RIR): (repaired − perturbed) / (original − perturbed); it is undefined where the base loses "
            "nothing."
        ),
    ),
    "restored by task": SumColumn(
        "restored, by task (%)",
        lambda sums: sum_cell(sums.by_task, RESTORED),
        said=(
            "By task: G-RIR as the package of CREME's authors has it, the mean of each prompt's own share over those "
            "that broke. They are chosen by the draws that they are measured by: drawn anew, it is above 0 without an "
            "edit."
        ),
    ),
    "clean gain": SumColumn(
        "clean gain (% of the loss)",
        lambda sums: sum_cell(sums.clean_gain, replace(RESTORED, signed=True)),
        said=(
            "Clean gain: what clean prompts gained, divided by the same loss as G-RIR; as much of what is restored may "
            "be that the edit helps all prompts."
        ),
    ),
    "own restored": SumColumn("L-RIR (%)", lambda sums: sum_cell(sums.own_restored, RESTORED), group=OWN),
    "own gain": SumColumn(
        f"{GAIN} (%)",
        lambda sums: sum_cell(sums.own_gain, Quantity(GAIN, GAIN, signed=True)),
        group=OWN,
        said=(
            "Own prompt: the one that a model was edited from, which no other number counts; L-RIR is its share "
            "restored, and its relative gain is that of the means over edits."
        ),
    ),
    "restored on shared pairs": SumColumn(
        "restored, shared pairs (%)",
        lambda sums: sum_cell(sums.on_shared, RESTORED),
        said=(
            "Methods without an edited model from some edit examples have their other numbers over other ones; on "
            "shared pairs: the share restored over the examples from which each of these methods has one; another "
            "seed's are other examples."
        ),
    ),
    "minus": SumColumn(
        "minus {against} (points)",
        lambda sums: sum_cell(sums.difference, replace(RESTORED, unit="points", signed=True)),
        said="Minus {against}: the difference of the shares restored from the same edit examples.",
    ),
    "clean change": SumColumn(
        "change (points)",
        lambda sums: sum_cell(sums.change and replace(sums.change, n=0), CLEAN_CHANGE),
        group=KEPT,
        said="Clean: the edited models minus the base, with a paired interval over problems.",
    ),
    "within 1 point": SumColumn(
        "within 1 point",
        lambda sums: within_cell(sums.change),
        group=KEPT,
        said=(
            f'Within 1 point: "{WITHIN}" if the whole interval lies from −1 to +1 points, "{BEYOND}" if all of it lies '
            f'outside, otherwise "{UNSHOWN}". The interval is of a Bayesian bootstrap over problems to which one lost '
            "and one won problem are added, as Bonett and Price (2012) do: it takes "
            f"{count(FEWEST_WITHIN, 'problem')} to show it, even where no verdict differs."
        ),
    ),
}
HOW = (
    "Each edit is from one edit example, a pair of prompts, and evaluated on the category's prompts and on clean ones, "
    "{}. Numbers are means over edits; their 95 % intervals are over edit examples, where those "
    "of one problem in several categories are one cluster."
)
AT_BLOCKS = "The same edit, all its settings alike, is at several blocks: {}."
PLACES = {
    AUTO: "the one that the localization finds (l*)",
    "random": "a random one",
    "first": "the first",
    "middle": "the middle",
    "last": "the last",
    "dinm": "the one that DINM chooses",
}
"""Values of `edit_at` in the order of rows, with their words in captions; blocks by number are after them."""
PLAIN_LORA = "{}: plain LoRA; what EasyEdit calls LoRA is AdaLoRA, with a rate of 5e-3 for 70 steps."
SEEDS = "Of several seeds a number is the mean over the seeds' numbers, and its interval is over seeds, too."
SEVERAL = "{}: each edit is from {} examples together."
FROM_OTHERS = "Other category: a control, the same method's edits from examples of other categories."
REWRITES = "A method that rewrites prompts has no edits; its interval of the share restored is over problems."


@EXHIBITS.register("edit-scores")
class EditScores(Exhibit):
    """A table for each problem set, whose rows are models, categories and methods or blocks."""

    subject: ClassVar[Need] = EDITED_MODELS

    group: Group = EDITS
    rows: Annotated[Sequence[Dimension], Field(min_length=1)]
    """``model`` and either ``method`` or ``block``; without ``category`` a row is over all categories."""
    columns: Annotated[Sequence[str], Field(min_length=1)]
    """Names of `COLUMNS`."""
    total: bool = False
    """Whether rows of categories are followed by one over all of them."""
    against: str = ""
    """The recipe, or the value of `edit_at` as text, that the column ``minus`` compares others with."""

    @model_validator(mode="after")
    def _fits(self) -> EditScores:
        if unknown := [name for name in self.columns if name not in COLUMNS]:
            hint = did_you_mean(unknown[0], COLUMNS)
            raise ValueError(f"unknown column {unknown[0]!r}{hint}; the columns are {', '.join(COLUMNS)}")
        if twice := [name for name in self.rows if self.rows.count(name) > 1]:
            raise ValueError(f"{twice[0]!r} is named twice among rows; name it once")
        if "model" not in self.rows or ("method" in self.rows) == ("block" in self.rows):
            raise ValueError(
                "rows are of 'model', 'category' if you like, and either 'method' or 'block', not of "
                f"{', '.join(map(repr, self.rows))}"
            )
        if ("minus" in self.columns) != bool(self.against):
            raise ValueError("the column 'minus' and the key 'against' need each other")
        return self

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        over_seeds = evidence.pools_seeds
        edits = grouped(evidence.edits.made, over_seeds=over_seeds)
        rewritten: dict[EditGroup, list[RewrittenPrompts]] = {}
        clean: list[RewrittenPrompts] = []
        if "block" in self.rows:
            edits = at_blocks(edits)
        else:
            edits = with_others(edits, evidence.edits.transferred, over_seeds=over_seeds)
            judged = {
                group: [one for one in of if one.rates]
                for group, of in grouped(evidence.edits.rewritten, over_seeds=over_seeds).items()
            }
            clean = [one for group, of in judged.items() for one in of if group.category == CLEAN]
            rewritten = {group: of for group, of in judged.items() if of and group.category != CLEAN}
        sums = sums_of_edits(self._of_categories(edits), self.against)
        self._require_against(sums)
        sums |= sums_of_rewritten(self._of_categories(rewritten), clean)
        if not sums:
            blocks = "it has no editor with two values of `edit_at`"
            raise NothingToDraw(blocks if "block" in self.rows else EDITED_MODELS.lacking)
        lora = dict.fromkeys(edit.cell.recipe for of in edits.values() for edit in of if edit.editor == "lora_edit")
        from_others = FROM_OTHERS if "method" in self.rows and evidence.edits.transferred else ""
        several = {
            edit.cell.recipe: len(edit.task_ids) for of in edits.values() for edit in of if len(edit.task_ids) > 1
        }
        together = [SEVERAL.format(name, examples) for name, examples in several.items()]
        said = [
            *together,
            from_others,
            REWRITES if rewritten else "",
            PLAIN_LORA.format(", ".join(lora)) if lora else "",
        ]
        sets = dict.fromkeys(group.problem_set for group in sums)
        return Drawn(tuple(self._table(evidence, problems, sums, said) for problems in sets))

    def _require_against(self, edited: Iterable[EditGroup]) -> None:
        """Raise NothingToDraw unless `against` is a method of these, or what `edit_at` may be and a table lacks."""
        names = list(dict.fromkeys(group.name for group in edited))
        is_block = "block" in self.rows
        may_lack = is_block and len(self.columns) > 1 and (self.against in PLACES or self.against.isdecimal())
        if names and self.against and self.against not in names and not may_lack:
            kind, hint = (
                "block" if is_block else "method",
                did_you_mean(self.against, [*names, *(PLACES if is_block else ())]),
            )
            raise NothingToDraw(f"it has no {kind} {self.against!r} for `against`{hint}; it has {', '.join(names)}")

    def _of_categories(self, groups: dict[EditGroup, list[R]]) -> dict[EditGroup, list[R]]:
        together = over_categories(groups)
        if "category" not in self.rows:
            return together
        several = {group: of for group, of in together.items() if len({one.perturbation for one in of}) > 1}
        return groups | several if self.total else groups

    def _table(self, evidence: Evidence, problems: str, sums: Mapping[EditGroup, Sums], said: Sequence[str]) -> Table:
        groups = self._in_order([group for group in sums if group.problem_set == problems])
        names = list(dict.fromkeys(group.name for group in groups))
        lacks = self.against and self.against not in names
        left_out = {
            "restored on shared pairs": not any(sums[group].unshared for group in groups),
            "minus": lacks,
            **dict.fromkeys(("own restored", "own gain"), not any(sums[group].own_restored for group in groups)),
        }
        words = {"against": WORDS.get(self.against, self.against)}
        columns = [COLUMNS[name] for name in self.columns if not left_out.get(name)]
        fields = [replace(column, heading=column.heading.format(**words)) for column in columns]
        table = records.record_table(
            **self.head(evidence.frame, problems),
            stub=tuple("edit at" if name == "block" else name for name in self.rows),
            rows=records.one_each((self._labels(group), sums[group]) for group in groups),
            fields=fields,
            row_words=evidence.frame.order.words,
            problem_set=problems,
        )
        seeds = SEEDS if any(cell.seeds for row in table.rows for cell in row.cells) else ""
        of_columns = [column.said.format(**words) for column in columns]
        how = [HOW.format(evidence.frame.order.left_out)]
        compared = self.against if "method" in self.rows else PLACES.get(self.against, f"block {self.against}")
        if "block" in self.rows:
            how += [AT_BLOCKS.format(", ".join(PLACES.get(name, f"block {name}") for name in names))]
        lacking = (
            f"There is no edit {'by' if 'method' in self.rows else 'at'} {compared} to compare with." if lacks else ""
        )
        return replace(table, caption=self.captioned(*how, *of_columns, seeds, lacking, *said, no_evidence(problems)))

    def _in_order(self, groups: Sequence[EditGroup]) -> list[EditGroup]:
        """Return groups by the rows' dimensions: edits that are compared are together, methods stay in their order."""
        models = list(dict.fromkeys(group.model for group in groups))
        edits = list(dict.fromkeys((group.editor, group.settings, group.seed) for group in groups))
        categories, places = list(dict.fromkeys(group.category for group in groups)), list(PLACES)

        def place(group: EditGroup) -> tuple[int, ...]:
            edit = edits.index((group.editor, group.settings, group.seed)) if group.editor else 0
            block = places.index(group.name) if group.editor and group.name in places else len(places)
            of = {"model": (models.index(group.model), edit), "category": (categories.index(group.category),)}
            return tuple(number for name in self.rows for number in of.get(name, (block,)))

        return sorted(groups, key=place)

    def _labels(self, group: EditGroup) -> records.Labels:
        block = f"{group.editor}, {WORDS.get(group.name, group.name)}{group.seed}"
        named = {"model": group.model, "category": group.category, "method": group.method, "block": block}
        return tuple(named[name] for name in self.rows)
