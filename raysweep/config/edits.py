"""The schema of a config's edit examples, from which editors change models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raysweep.config.fields import Count, Strict, UnitMark
from raysweep.config.training import PerturbationName


class EditsConfig(Strict):
    """The edit examples that models are edited from: a problem's clean prompt and its perturbed one."""

    perturbations: Annotated[list[PerturbationName], Field(min_length=1)]
    """Perturbations, of those of `evaluation`; an edited model is evaluated on that of its example and on `clean`."""
    pairs: Annotated[Count, UnitMark("edit examples")] = 5
    """How many of each problem set and perturbation, of problems whose clean prompt the model solves more often."""
    problems: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """Ids of the problems to take in place of randomly selected ones, such as HumanEval/49."""
