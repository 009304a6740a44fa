"""Finds out which memory a training worker of a config has."""

from __future__ import annotations

from raysweep.accelerators import ACCELERATOR_LABEL
from raysweep.config.resources import BY_PREDICTION, StageConfig
from raysweep.machine import accelerators, gpus, memory
from raysweep.planning.predictions.fit import Room, room_on
from raysweep.planning.predictions.needs import names_in


def room_of_worker(asked: StageConfig, is_here: bool = True) -> Room | None:
    """Return the memory of a training worker; None if it isn't known.

    That is an accelerator's, known by the label that is asked for, or this machine's; without one the memory that is
    asked for, or this machine's.

    `is_here`: workers run on this machine.
    """
    if asked.gpus:
        assert asked.labels is not None
        share = 1.0 if asked.gpus == BY_PREDICTION else min(1.0, float(asked.gpus))
        label = asked.labels.get(ACCELERATOR_LABEL, "")
        names = names_in(label)
        rooms = [room for name in names if (room := room_on(name, share)) is not None]
        if len(rooms) < len(names):
            return None  # nothing is known of one of them
        if rooms:
            has_bf16 = any(room.has_bf16 for room in rooms)
            return Room(max(room.bytes for room in rooms), f"the accelerator {' or '.join(names)}", has_bf16, share)
        if not (is_here and gpus()):
            return None
        device = max(accelerators().devices, key=lambda device: device.memory)
        return Room(int(device.memory * share), device.name, device.has_bf16)
    if asked.memory_gib and asked.memory_gib != BY_PREDICTION:
        return Room(int(float(asked.memory_gib) * 2**30), "`resources.memory_gib`")
    if not is_here:
        return None
    ram = memory()
    return Room(ram.limit or ram.total, "this machine")
