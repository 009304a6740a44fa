"""Gives back what dead trials held: Ray keeps the placement group of training workers whose controller has died.

Ray Train's own cleaner learns of a group only when its workers have started, and asks the dashboard, which may not run,
whether the controller lives (ray #54305).
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from raysweep.background import repeated

log = logging.getLogger("raysweep")

LOOK_SECONDS = 3.0


def released() -> AbstractContextManager[None]:
    """Release, while the block runs, the placement groups of this Ray job whose creator has died."""

    def look() -> None:
        try:
            release_orphans()
        except Exception as error:  # no Ray any more, or one of another kind: the next look may find it
            log.debug("placement groups can't be listed: %s", error)

    return repeated(look, LOOK_SECONDS, "orphans")


def release_orphans() -> int:
    """Remove the placement groups of this Ray job that an actor made which is dead; return how many there were."""
    import ray
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    if not ray.is_initialized():  # asking would start one
        return 0
    job, nobody = bytes.fromhex(ray.get_runtime_context().get_job_id()), ray.ActorID.nil().binary()
    groups = map(PlacementGroupTableData.FromString, state._connect_and_get_accessor().get_placement_group_table())
    orphans = [
        group
        for group in groups
        if group.creator_job_id == job
        and group.creator_actor_id not in (nobody, b"")
        and group.creator_actor_dead
        and not group.is_detached
        and group.state != PlacementGroupTableData.REMOVED
    ]
    for group in orphans:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
        log.debug("released what a dead training held: %s", group.placement_group_id.hex())
    return len(orphans)
