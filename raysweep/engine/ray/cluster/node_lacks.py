"""Asks each live node what it lacks of what a config names: packages, files, models, translators, compilers.

A node is judged by the checks that refuse a run on the machine where it is started. A cell may work on any node, so
each must have all; only loggers run in the process of the command alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from raysweep.engine.placing.nodes import NodeFacts
from raysweep.engine.ray.cluster.asking import ask_nodes, first_nodes, node_name


def lacking_on_nodes(nodes: Mapping[str, NodeFacts], config: str, overrides: Sequence[str] = ()) -> list[str]:
    """Return a line for each thing that nodes lack, with the nodes that lack it; empty if they have everything.

    This process must run on the node that is to run the sweep's command.
    A node that doesn't answer, or not in time, is only warned of in the log.

    `config`: the path of the config's file on every node, such as one below the working folder of a job.
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
