"""Kind ``languages``: pass@1 and RD by programming language, beside the language's share of the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from raysweep.analysis.exhibits.base import (
    COMPARISONS,
    EXHIBITS,
    LANGUAGES,
    Drawn,
    Evidence,
    Exhibit,
    Group,
    Id,
    Need,
    NothingToDraw,
    Text,
)
from raysweep.analysis.exhibits.selections import select_test_sets, select_training_sets
from raysweep.analysis.tables.frame import ModelVariant, ScoreFrame, ScoreKey
from raysweep.analysis.tables.quantities import DROP, PASS, RD, draws_sentence, score_cell
from raysweep.analysis.tables.table import Column, Row, Table, TableCell
from raysweep.programs import LANGUAGE_WORDS
from raysweep.records import BASE, CLEAN
from raysweep.units import count, decimal

TAGS = {"cpp": ("c++", "cc", "cxx"), "python": ("py", "python3")}
"""Other names of languages in the tags of rows."""


@EXHIBITS.register("languages")
class Languages(Exhibit):
    """A table for each test set, with a row for each problem set, model and training set."""

    subject: ClassVar[Need] = LANGUAGES
    place: ClassVar[str] = "summary/languages"

    id: Id = "languages"
    title: Text = "pass@1 and RD by programming language"
    group: Group = COMPARISONS

    training_sets: Annotated[Sequence[Text], Field(min_length=1)] = ("base", "clean", "headline")
    test_set: Text = "headline"

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        frame = evidence.frame
        tests = select_test_sets(frame, [self.test_set]).perturbed or (CLEAN,)
        tables = tuple(self._table(evidence, test, rows) for test in tests if (rows := self._rows(evidence, test)))
        if not tables:
            raise NothingToDraw("it has no pass@1 yet of the models that the table shows")
        return Drawn(tables)

    def _table(self, evidence: Evidence, test: str, rows: Sequence[Row]) -> Table:
        frame = evidence.frame
        perturbed = () if test == CLEAN else (PASS.heading, DROP.heading, RD.heading)
        under = "" if test == CLEAN else f" and under {frame.order.test_label(test)}"
        caption = (
            f"pass@1 on clean prompts{under}. Rows: the share of the training set's "
            "rows in the language, of those whose language is known: by the column `language`, else by the tag of the "
            "first code fence in their output."
        )
        return Table(
            title=self.titled(frame),
            caption=self.captioned(caption, draws_sentence(frame)),
            stub=("language", "problem set", "model", "training set"),
            columns=tuple(map(Column, ("rows (%)", f"clean {PASS.heading}", *perturbed))),
            rows=tuple(rows),
            row_words=frame.order.training_words,
            label=f"{self.id}-{test}",
        )

    def _rows(self, evidence: Evidence, test: str) -> list[Row]:
        frame = evidence.frame
        rows = []
        for problems in sorted(frame.problem_sets, key=lambda name: frame.order.languages.get(name, "")):
            language = frame.order.languages.get(problems, "")
            for variant, training_set in self._models(frame):
                key = ScoreKey(variant, training_set, problems, test)
                clean = ScoreKey(variant, training_set, problems, CLEAN)
                if frame.score(clean, PASS.metric) is None and frame.score(key, PASS.metric) is None:
                    continue
                share = _share(evidence.languages.get(training_set, {}), language, training_set)
                perturbed = () if test == CLEAN else (PASS, DROP, RD)
                scores = (score_cell(frame, key, quantity) for quantity in perturbed)
                label = variant.model if training_set == BASE else variant.label
                stub = (LANGUAGE_WORDS.get(language, language), problems, label, training_set)
                rows.append(Row(stub, (share, score_cell(frame, clean, PASS), *scores)))
        return rows

    def _models(self, frame: ScoreFrame) -> Iterator[tuple[ModelVariant, str]]:
        bases: set[str] = set()
        for variant in frame.variants:
            for training_set in select_training_sets(frame, self.training_sets).names:
                if training_set == BASE and variant.model in bases:
                    continue
                if training_set == BASE:
                    bases.add(variant.model)
                yield variant, training_set


def _share(rows: Mapping[str, int], language: str, training_set: str) -> TableCell:
    unknown = rows.get("", 0)
    known = sum(rows.values()) - unknown
    if not known:
        lacking = (
            f"no row says its language ({count(unknown, 'row')})" if unknown else "the store has no such training set"
        )
        return TableCell.dash("not fine-tuned" if training_set == BASE else lacking)
    tags = (language, *TAGS.get(language, ()))
    share = 100 * sum(number for name, number in rows.items() if name.strip().lower() in tags) / known
    note = f"of {unknown:,} of the {count(known + unknown, 'row')} the language is not known" if unknown else ""
    return TableCell.number(share, decimal(share), note, n=known)
