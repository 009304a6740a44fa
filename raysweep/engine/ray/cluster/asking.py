"""Asks every node of a running Ray the same question, in a process there, and names nodes in messages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.errors import last_line
from raysweep.units import count

log = logging.getLogger("raysweep")

ANSWER_SECONDS = 60.0
"""How long the nodes have to answer."""
LISTED = 4
"""Most nodes that a message names for one difference."""
Answer = TypeVar("Answer")


def ask_nodes(nodes: Iterable[str], question: Callable[[], Answer], topic: str) -> dict[str, Answer]:
    """Return the answer of each node by its id; a node that can't answer, or not in time, is only warned of in the log.

    `question`: runs on each node without resources. A function that is defined in another one is sent as it is, so that
    a node needs no raysweep to run it. `topic`: what a node is asked for, for the log: ``its versions``.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask: Any = ray.remote(num_cpus=0, max_retries=1)(question)
    places = {node: NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes}
    asked = {ask.options(scheduling_strategy=place).remote(): node for node, place in places.items()}
    if not asked:
        return {}
    ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    if silent:
        log.warning("%s, asked for %s, didn't answer in %.0f s", count(len(silent), "node"), topic, ANSWER_SECONDS)
    answers: dict[str, Answer] = {}
    for answer in ready:
        try:
            answers[asked[answer]] = ray.get(answer)
        except ray.exceptions.RayError as error:  # such as a node that is gone by now
            log.warning("node %s, asked for %s, can't answer: %s", asked[answer][:8], topic, last_line(error))
    return answers


def first_nodes(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def node_name(node: str, facts: NodeFacts) -> str:
    label = facts.labels.get(ACCELERATOR_LABEL)
    return f"node {node[:8]}" + (f" ({label})" if label else "")
