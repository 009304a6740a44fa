"""Runs `raysweep check-nodes` as a job of its own, before the job of a sweep starts, and reads its answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from raysweep.engine.ray.jobs.failures import NO_RAYSWEEP
from raysweep.engine.ray.jobs.submission import RayJob, finished
from raysweep.errors import RaysweepError, UsageError, last_line

KEY = "lacking"
"""The key of the answer, a line of JSON in the job's log: what nodes lack, a text each."""
CHECK_SECONDS = 300.0
"""How long the job may take, with its upload to every node."""


class NodesUnasked(RaysweepError):
    """The nodes could not be asked."""


def answer_line(lacking: Sequence[str]) -> str:
    return json.dumps({KEY: list(lacking)})


def lacking_there(job: RayJob, config: str, overrides: Sequence[str]) -> list[str]:
    """Return what the live nodes of a cluster lack of what a config names, a line each.

    `job`: of the sweep. `config`: the path of the config's file below the job's folder.

    Raises:
        UsageError: the cluster's shell finds no raysweep.
        NodesUnasked: the job didn't run, or not to its end, such as with an older raysweep there.
    """
    words = [word for override in overrides for word in ("--set", override)]
    ended, log = finished(replace(job, entrypoint=("raysweep", "check-nodes", config, *words)), CHECK_SECONDS)
    for line in reversed(log.splitlines()):
        if line.startswith(f'{{"{KEY}"'):
            return list(json.loads(line)[KEY])
    if ended.code == NO_RAYSWEEP:
        raise UsageError(ended.problem)
    raise NodesUnasked(ended.problem or last_line(RaysweepError(log)))
