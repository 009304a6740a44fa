"""Which artefacts are made together, under which leases, and how others that make the same are waited for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from raysweep.engine.base import Work
from raysweep.planning.missing import is_made, missing
from raysweep.planning.plan import ArtefactPlan
from raysweep.storage.artefacts import Artefact, damage_text
from raysweep.storage.leases import Holder


def groups(plans: Sequence[ArtefactPlan]) -> list[list[ArtefactPlan]]:
    """Group plans that are made under the same leases, in build order.

    Plans of one unit are made together, after everything that any of them needs: a cell's prompts in one pipeline.
    Otherwise neighbours of one class are made together.
    """
    groups: list[list[ArtefactPlan]] = []
    for plan in plans:
        same_unit = next((group for group in groups if group[0].unit == plan.unit), None)
        if same_unit is not None:
            groups.remove(same_unit)
            groups.append([*same_unit, plan])
        elif groups and type(groups[-1][0]) is type(plan) and groups[-1][0].unit == groups[-1][0].node:
            groups[-1].append(plan)
        else:
            groups.append([plan])
    return groups


@contextmanager
def leased(plans: Sequence[ArtefactPlan], targets: Sequence[ArtefactPlan], work: Work) -> Iterator[list[ArtefactPlan]]:
    """Hold the leases of the plans' units during the block; yield the plans that are still missing, in order.

    Leases are taken in the order of their keys, so that no two processes wait for each other. While this one waits,
    another may make all `targets` and drop the model behind them: what no missing target needs is not made again.
    """
    units: dict[str, Artefact] = {plan.unit.key: plan.unit for plan in plans}
    mine: set[str] = set()  # keys of units that this process makes
    with ExitStack() as leases:
        for key in sorted(units):
            members = [plan for plan in plans if plan.unit.key == key]
            are_made = functools.partial(_are_made, members, work)
            if leases.enter_context(work.store.making(units[key], are_made, _waiter(work))):
                mine.add(key)
                for plan in members:
                    _discard_if_damaged(plan, work)
        needed = {plan.node.key for plan in missing(targets, work.store) if plan.node} if mine else set()
        yield [plan for plan in plans if plan.node and plan.unit.key in mine and plan.node.key in needed]
        for key in mine:
            work.store.unfinished(units[key]).remove_folder()


def _are_made(plans: Sequence[ArtefactPlan], work: Work) -> bool:
    return all(is_made(plan, work.store) for plan in plans)


def _discard_if_damaged(plan: ArtefactPlan, work: Work) -> None:
    assert plan.node is not None
    if wrong := work.store.discard_if_damaged(plan.node):
        work.progress.note(damage_text(plan.node, wrong))


def _waiter(work: Work) -> Callable[[Holder | None], None]:
    def report(holder: Holder | None) -> None:
        if holder is not None:
            work.progress.report_wait(f"another process to make it: {holder}")
        else:
            work.progress.update("starting", force=True)

    return report
