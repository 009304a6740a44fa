"""What is told of training rows that give evaluated problems away."""

from __future__ import annotations

from collections import Counter

from raysweep.config import SweepConfig
from raysweep.records import Leak
from raysweep.set_plans import LeakagePlan
from raysweep.storage.store import Store
from raysweep.terminal import count


def leakage_text(config: SweepConfig, plan: LeakagePlan | None, store: Store) -> str:
    """Say how many rows leak, by which rules, and what becomes of them; empty where nothing was looked for."""
    if plan is None or config.training is None or not store.has(plan.node):
        return ""
    leaks = store.rows(plan.node, Leak)
    rows, problems = {leak.row_id for leak in leaks}, {(leak.problem_set, leak.task_id) for leak in leaks}
    fate = (
        "left out" if config.training.decontaminate == "drop" else "kept (training.decontaminate: drop leaves them out)"
    )
    total = int(store.counts(plan.node)["rows"])
    if not rows:
        return f"none of {count(total, 'training row')} gives an evaluated problem away"
    rules = ", ".join(f"{number} by {rule}" for rule, number in Counter(leak.rule for leak in leaks).most_common())
    give, they = ("gives", "it is") if len(rows) == 1 else ("give", "they are")
    return (
        f"{len(rows):,} of {count(total, 'training row')} {give} {count(len(problems), 'evaluated problem')} away "
        f"({rules}); {they} {fate}, and listed in {store.folder(plan.node)}"
    )
