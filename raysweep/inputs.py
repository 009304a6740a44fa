"""Can the files and models that a config names be read? Asked before any work starts."""

from __future__ import annotations

from collections.abc import Iterator

from raysweep.config import ModelConfig, SweepConfig
from raysweep.config_types import SpecConfig
from raysweep.errors import UsageError
from raysweep.models.loading import resolve
from raysweep.problems.base import PROBLEMS
from raysweep.training_sets.base import SOURCES

Finding = tuple[tuple[str | int, ...], str]
"""(where in the config, what is wrong)"""


def check_inputs(config: SweepConfig) -> list[Finding]:
    """Return everything that is wrong with training files, problem files and model paths."""
    return [finding for check in (_sources, _problems, _models) for finding in check(config)]


def _sources(config: SweepConfig) -> Iterator[Finding]:
    named: list[tuple[tuple[str | int, ...], SpecConfig]] = []
    for at, model in enumerate(config.models):
        if model.pretrain is not None:
            named.append((("models", at, "pretrain", "source"), model.pretrain.source))
    if config.training is not None:
        named.append((("training", "source"), config.training.source))
    for path, source in named:
        try:
            SOURCES.create(source.spec(SOURCES, config.seed)).check()
        except UsageError as error:
            yield path, str(error)


def _problems(config: SweepConfig) -> Iterator[Finding]:
    for at, problems in enumerate(config.evaluation.problems):
        try:
            PROBLEMS.create(problems.spec(PROBLEMS, config.seed)).check(judged=True)
        except UsageError as error:
            yield ("evaluation", "problems", at), str(error)


def _models(config: SweepConfig) -> Iterator[Finding]:
    for at, model in enumerate(config.models):
        if model.path is not None:
            message = _model_problem(model, model.path)
            if message:
                yield ("models", at, "path"), message


def _model_problem(model: ModelConfig, path: str) -> str:
    try:
        resolve(path, model.revision, model.trust_remote_code)
    except UsageError as error:
        return str(error)
    return ""
