"""The schema of a config's prompt pairs, from which editors change models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raysweep.config.fields import Count, Strict, UnitMark
from raysweep.config.training import PerturbationName


class EditsConfig(Strict):
    """The prompt pairs that models are edited from: a problem's clean prompt and its perturbed one."""

    perturbations: Annotated[list[PerturbationName], Field(min_length=1)]
    """Perturbations of the pairs, of those of `evaluation`; an edited model is judged on the pair's and on `clean`."""
    pairs: Annotated[Count, UnitMark("pairs")] = 5
    """Pairs of each problem set and perturbation, drawn among those whose clean prompt the model solves more often."""
    problems: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """Ids of problems whose pairs are taken in place of drawn ones, such as HumanEval/49."""
