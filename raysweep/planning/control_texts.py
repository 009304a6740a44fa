"""Counts training rows and prompts with the texts of control tokens, such as ``</s>`` inside a program.

A tokenizer reads such a text as the token, here as in transformers, and docs/training-design.md says why that stays so.
Not covered: rows from which models are pre-trained, and texts that only a perturbation or a template makes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.units import count, first_of

if TYPE_CHECKING:
    from raysweep.planning.plan import CellPlan


@dataclass(frozen=True)
class ControlTexts:
    """Texts of some models' control tokens in rows or prompts.

    Attributes:
        models: the names of the models.
        where: what holds them: training.source, training.sources.NAME, or a problem set.
        kind: row or prompt.
        holding: how many rows or prompts hold one, of `of`.
        first: the id of the first.
        texts: which ones, the most frequent first.
    """

    models: tuple[str, ...]
    where: str
    kind: str
    holding: int
    of: int
    first: str
    texts: tuple[str, ...]

    @property
    def words(self) -> str:
        shown = first_of([repr(text) for text in self.texts], "text")
        hold = f"{self.holding:,} of {count(self.of, self.kind)} with {shown}, such as {self.kind} {self.first}"
        return f"{self.where}: {hold}; control tokens, not characters, to {', '.join(self.models)} (docs/training.md)"


def control_texts(config: SweepConfig, cells: Iterable[CellPlan]) -> list[ControlTexts]:
    """Return where training rows and prompts of some cells hold texts of their models' control tokens.

    Rows are those of the source, before perturbation; what can't be read here is left out.
    """
    judged: dict[str, frozenset[str]] = {}
    trained: dict[str, dict[str, frozenset[str]]] = {}  # by the source of the rows, then by model
    for cell in cells:
        if cell.base.traits is not None:
            texts = frozenset(cell.base.traits.special)
            judged[cell.base.name] = texts
            if cell.is_fine_tuned and config.training is not None:
                named = config.training.source_of(cell.cell.training_set).name
                trained.setdefault(named, {})[cell.base.name] = texts
    found: list[ControlTexts] = []
    sources = config.training.row_sources if config.training is not None else ()
    for source in [source for source in sources if source.name in trained]:
        with suppress(UsageError):
            rows = config.source(source.rows).rows()
            texts_of = ((row.row_id, "\n".join((*row.prompt_texts, row.output))) for row in rows)
            found += _found(texts_of, trained[source.name], source.words, "row")
    for problems in config.evaluation.problems if judged else ():
        with suppress(UsageError):
            some = config.problem_set(problems).problems()[: config.evaluation.limit]
            prompts = ((problem.task_id, problem.prompt) for problem in some)
            found += _found(prompts, judged, problems.label, "prompt")
    return found


def require_readable(config: SweepConfig, cells: Sequence[CellPlan]) -> list[ControlTexts]:
    """Return what `control_texts` does; raise UsageError if a model has no embeddings for one of the tokens."""
    unreadable = {cell.base.name: cell.base.traits.unreadable for cell in cells if cell.base.traits}
    found = control_texts(config, cells)
    for texts in found:
        for model in texts.models:
            if lacking := unreadable[model].intersection(texts.texts):
                raise UsageError(
                    f"{texts.where} holds {min(lacking)!r}, a control token for which model {model} has no embedding; "
                    "remove it from the texts or from the tokenizer, or resize the model's embeddings"
                )
    return found


def _found(
    texts: Iterable[tuple[str, str]], special: Mapping[str, frozenset[str]], where: str, kind: str
) -> Iterator[ControlTexts]:
    everything = sorted(frozenset().union(*special.values()), key=len, reverse=True)
    if not everything:
        return
    pattern = re.compile("|".join(map(re.escape, everything)))
    found = [(name, frozenset(pattern.findall(text))) for name, text in texts]
    number, hits = len(found), [(name, held) for name, held in found if held]
    alike: dict[tuple[int, str, tuple[str, ...]], list[str]] = {}
    for model, known in special.items():
        if own := [(name, held & known) for name, held in hits if held & known]:
            texts_held = Counter(sorted(text for _, held in own for text in held))
            most = tuple(text for text, _ in texts_held.most_common())
            alike.setdefault((len(own), own[0][0], most), []).append(model)
    for (holding, first, most), models in alike.items():
        yield ControlTexts(tuple(models), where, kind, holding, number, first, most)
