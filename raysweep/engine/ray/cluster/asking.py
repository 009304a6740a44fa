"""Asks every node of a running Ray the same question, in a process there: what it lacks of what a config names.

A node is judged by the checks that refuse a run on the machine where it is started. A cell may work on any node, so
each must have all; only loggers run in the process of the command alone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def lacking_on_nodes(nodes: Mapping[str, NodeFacts], config: str, overrides: Sequence[str] = ()) -> list[str]:
    """Return a line for each thing that nodes lack, with the nodes that lack it; see `ask_nodes`.

    This process must run on the node that is to run the sweep's command. `config`: the path of the config's file on
    every node, such as one below the working folder of a job.
    """
    import ray

    of_command = ray.get_runtime_context().get_node_id()

    def lacks() -> list[str]:  # a local function is sent as it is, so a node needs no raysweep to run it
        try:
            from raysweep.config.loading import load_config
            from raysweep.errors import RaysweepError
        except ImportError as error:
            return [f"raysweep can't be imported ({error}); install it"]
        missing: list[str] = []
        is_of_command = ray.get_runtime_context().get_node_id() == of_command
        try:
            load_config(config, [*overrides, *([] if is_of_command else ["loggers=[]"])], missing=missing)
        except RaysweepError as error:
            return [" ".join(str(error).split())]
        return missing

    lacking: dict[str, list[str]] = defaultdict(list)
    for node, lines in ask_nodes(nodes, lacks, "what it lacks").items():
        for line in lines:
            lacking[line].append(node_name(node, nodes[node]))
    return [f"{line} - on {first_nodes(sorted(names))}" for line, names in lacking.items()]
