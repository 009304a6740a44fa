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
from raysweep.analysis.tables.frame import ModelVariant, ScoreBook, ScoreKey
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
        book = evidence.book
        tests = select_test_sets(book, [self.test_set]).perturbed or (CLEAN,)
        tables = tuple(self._table(evidence, test, rows) for test in tests if (rows := self._rows(evidence, test)))
        if not tables:
            raise NothingToDraw("it has no pass@1 yet of the models that the table shows")
        return Drawn(tables)

    def _table(self, evidence: Evidence, test: str, rows: Sequence[Row]) -> Table:
        book = evidence.book
        perturbed = () if test == CLEAN else (PASS.heading, DROP.heading, RD.heading)
        under = "" if test == CLEAN else f" and under {book.order.test_label(test)}"
        caption = (
            f"pass@1 on clean prompts{under}. Rows: the share of the training set's "
            "rows in the language, of those whose language is known: by the column `language`, else by the tag of the "
            "first code fence in their output."
        )
        return Table(
            title=self.titled(book),
            caption=self.captioned(caption, draws_sentence(book)),
            stub=("language", "problem set", "model", "training set"),
            columns=tuple(map(Column, ("rows (%)", f"clean {PASS.heading}", *perturbed))),
            rows=tuple(rows),
            row_words=book.order.training_words,
            label=f"{self.id}-{test}",
        )

    def _rows(self, evidence: Evidence, test: str) -> list[Row]:
        book = evidence.book
        rows = []
        for problems in sorted(book.problem_sets, key=lambda name: book.order.languages.get(name, "")):
            language = book.order.languages.get(problems, "")
            for variant, training_set in self._models(book):
                key = ScoreKey(variant, training_set, problems, test)
                clean = ScoreKey(variant, training_set, problems, CLEAN)
                if book.score(clean, PASS.metric) is None and book.score(key, PASS.metric) is None:
                    continue
                share = _share(evidence.languages.get(training_set, {}), language, training_set)
                perturbed = () if test == CLEAN else (PASS, DROP, RD)
                scores = (score_cell(book, key, quantity) for quantity in perturbed)
                label = variant.model if training_set == BASE else variant.label
                stub = (LANGUAGE_WORDS.get(language, language), problems, label, training_set)
                rows.append(Row(stub, (share, score_cell(book, clean, PASS), *scores)))
        return rows

    def _models(self, book: ScoreBook) -> Iterator[tuple[ModelVariant, str]]:
        bases: set[str] = set()
        for variant in book.variants:
            for training_set in select_training_sets(book, self.training_sets).names:
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
