"""Frees placement groups of trials that died: Ray keeps those of training workers whose controller has died.

Ray Train's own cleaner learns of a group only when its workers have started, and asks the dashboard, which may not run,
whether the controller is alive (ray #54305).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from raysweep.periodic import run_periodically

log = logging.getLogger("raysweep")

POLL_SECONDS = 3.0


def watch_orphans() -> AbstractContextManager[None]:
    """Free placement groups of this Ray job whose creator has died, every few seconds while the block runs."""
    return run_periodically(_release_orphans, POLL_SECONDS, "orphans")


def _release_orphans() -> None:
    import ray
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    if not ray.is_initialized():  # the calls below would start one
        return
    job, nobody = bytes.fromhex(ray.get_runtime_context().get_job_id()), ray.ActorID.nil().binary()
    groups = map(PlacementGroupTableData.FromString, state._connect_and_get_accessor().get_placement_group_table())
    for group in groups:
        is_of_actor = group.creator_job_id == job and group.creator_actor_id not in (nobody, b"")
        is_left = not group.is_detached and group.state != PlacementGroupTableData.REMOVED
        if is_of_actor and group.creator_actor_dead and is_left:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
            log.debug("freed the placement group of a dead training: %s", group.placement_group_id.hex())
