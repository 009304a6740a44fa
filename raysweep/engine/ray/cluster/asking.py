"""Asks every node of a running Ray the same question, in a process there: what it lacks of what a config names.

A node is judged by the checks that refuse a run on the machine where it is started. A cell may work on any node, so
each must have all; only loggers run in the process of the command alone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.engine.placing.nodes import NodeFacts
from raysweep.errors import RaysweepError, UsageError, last_line

log = logging.getLogger("raysweep")

ANSWER_SECONDS = 60.0
"""How long the nodes have to answer, each of the `TIMES` that they are asked."""
TIMES = 2
LISTED = 4
"""Most nodes that a message names for one difference."""
Answer = TypeVar("Answer")


class NodeAnswers(NamedTuple):
    """What nodes answered, why others can't, by their ids, and which didn't in time."""

    given: dict[str, Any]
    errors: dict[str, Exception]
    silent: list[str]


def on_node(node: str) -> dict[str, Any]:
    """Return Ray options of a task or actor that runs on one node, without resources."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def await_answers(questions: Mapping[Any, str], seconds: float) -> NodeAnswers:
    """Wait for answers of nodes, and cancel those that are late. `questions`: references to them, with the nodes."""
    import ray

    ready, late = ray.wait(list(questions), num_returns=len(questions), timeout=seconds) if questions else ([], [])
    answers = NodeAnswers({}, {}, [questions[question] for question in late])
    for question in late:
        ray.cancel(question)
    for question in ready:
        try:
            answers.given[questions[question]] = ray.get(question)
        except ray.exceptions.RayError as error:  # such as a node that is gone by now
            answers.errors[questions[question]] = error
    return answers


def ask_nodes(
    nodes: Mapping[str, NodeFacts], question: Callable[[], Answer], topic: str, *, allow_silent: bool
) -> dict[str, Answer]:
    """Return the answer of each node by its id; a node that can't answer is only warned of in the log.

    Nodes that don't answer in time are asked again. `question`: runs on each node without resources. A function that is
    defined in another one is sent as it is, so that a node needs no raysweep to run it. `topic`: what a node is asked
    for: ``its versions``. `allow_silent`: whether a node that still doesn't answer is only warned of, too.

    Raises:
        UsageError: a node is silent.
    """
    import ray

    ask: Any = ray.remote(max_retries=1)(question)
    answers: dict[str, Answer] = {}
    silent, said = list(nodes), ""
    for _ in range(TIMES):
        given, errors, silent = await_answers(
            {ask.options(**on_node(node)).remote(): node for node in silent}, ANSWER_SECONDS
        )
        answers |= given
        for node, error in errors.items():
            log.warning("%s, asked for %s, can't answer: %s", node_name(node, nodes[node]), topic, last_line(error))
        if not silent:
            return answers
        names = first_nodes(sorted(node_name(node, nodes[node]) for node in silent))
        said = f"asked for {topic}, {names} didn't answer in {ANSWER_SECONDS:.0f} s"
        log.warning("%s", said)
    if not allow_silent:
        raise UsageError(
            f"{said}, also when asked again; see what is wrong there (`ray status`), take the node out of the Ray, or "
            "use it unseen with `resources.allow_mixed: true`"
        )
    return answers


def first_nodes(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def node_name(node: str, facts: NodeFacts) -> str:
    label = facts.labels.get(ACCELERATOR_LABEL)
    return f"node {facts.address or node[:8]}" + (f" ({label})" if label else "")


def missing_on_nodes(nodes: Mapping[str, NodeFacts], config: str, overrides: Sequence[str] = ()) -> list[str]:
    """Return a line for each thing that nodes lack, with the nodes that lack it, and for nodes that don't answer.

    This process must run on the node that is to run the sweep's command. `config`: the path of the config's file on
    every node, such as one below the working folder of a job.
    """
    import ray

    of_command = ray.get_runtime_context().get_node_id()

    def missing_here() -> list[str]:  # a local function is sent as it is, so a node needs no raysweep to run it
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

    nodes_by_line: dict[str, list[str]] = defaultdict(list)
    try:
        answers = ask_nodes(nodes, missing_here, "what it lacks", allow_silent=_allows_mixed(config, overrides))
    except UsageError as silent:
        return [str(silent)]
    for node, lines in answers.items():
        for line in lines:
            nodes_by_line[line].append(node_name(node, nodes[node]))
    return [f"{line} - on {first_nodes(sorted(names))}" for line, names in nodes_by_line.items()]


def _allows_mixed(config: str, overrides: Sequence[str]) -> bool:
    from raysweep.config.loading import load_config

    try:
        return load_config(config, overrides, missing=[]).resources.allow_mixed
    except RaysweepError:
        return False  # the node's own answer says what is wrong with the config
