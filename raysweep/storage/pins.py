"""Pins: a group of models is trained and run on one type of accelerator and one software, in this run and later ones.

A group's record, ``pins/<name>.json``, is written by the first process that works for it. Later ones compare
themselves with it before they load a model. So a table never mixes devices or versions without saying so.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from raysweep.errors import HopelessError, StoreError
from raysweep.hashing import text_sha
from raysweep.storage.files import Files
from raysweep.storage.leases import Leases

FOLDER = "pins"


@dataclass(frozen=True)
class Pin:
    """The accelerator and versions that all models of a pin group must use."""

    pool: str | None = None  # an accelerator's label; None: not chosen yet
    device: str | None = None  # the accelerator's name; None: no model was begun yet
    software: Mapping[str, str] = field(default_factory=dict)  # versions of Python, torch, CUDA and the driver


class Pins:
    """The pins of a store."""

    def __init__(self, files: Files, leases: Leases) -> None:
        self._files, self._leases = files, leases

    def read(self, group: str) -> Pin:
        """Return what binds a group; an empty pin if nothing does yet."""
        content = self._files.read(_file(group))
        if content is None:
            return Pin()
        try:
            record = json.loads(content)
            return Pin(record["pool"], record["device"], dict(record["software"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.place(group)} can't be read ({error}); remove it to choose again") from None

    def place(self, group: str) -> str:
        return f"{self._files}/{_file(group)}"

    def pools_of(self, groups: Iterable[str]) -> dict[str, str]:
        pools = {group: self.read(group).pool for group in sorted(groups)}
        return {group: pool for group, pool in pools.items() if pool is not None}

    def choose_pool(self, group: str, pool: str) -> str:
        """Let a group run in a pool, unless it is bound to one already; return the one that it is bound to."""
        return self._merge(group, Pin(pool)).pool or ""

    def require(self, group: str, device: str, software: Mapping[str, str]) -> None:
        """Bind a group to this process's device and software, or raise HopelessError if it is bound to others.

        `group`: nothing is compared if it is empty.
        """
        if not group:
            return
        pin = self._merge(group, Pin(None, device, software))
        was, there = {"the device": pin.device, **pin.software}, {"the device": device, **software}
        wrong = [name for name in there if was[name] != there[name]]  # what the record lacked was just added
        if wrong:
            differences = "; ".join(f"{name} was {was[name]}, and is {there[name]}" for name in wrong)
            raise HopelessError(
                f"the models of group {group!r} were begun on something else than {platform.node()} has: {differences} "
                f"({self.place(group)}); use the same, give these models another `pin_group`, or mix them "
                "knowingly with `resources.allow_mixed: true`"
            )

    def _merge(self, group: str, addition: Pin) -> Pin:
        pin = self.read(group)
        if _merged(pin, addition) == pin:
            return pin
        lease = self._leases.wait(f"pin-{text_sha(group)[:16]}", lambda: False, lambda holder: None)
        assert lease is not None
        with lease:
            pin = _merged(self.read(group), addition)
            record = {"group": group, "pool": pin.pool, "device": pin.device, "software": dict(pin.software)}
            self._files.write(_file(group), json.dumps(record, indent=2) + "\n")
        return pin


def _merged(pin: Pin, addition: Pin) -> Pin:
    return Pin(
        addition.pool if pin.pool is None else pin.pool,
        addition.device if pin.device is None else pin.device,
        {**addition.software, **pin.software},
    )


def _file(group: str) -> str:
    return f"{FOLDER}/{re.sub('[^A-Za-z0-9.-]+', '-', group)[-60:].strip('-.')}-{text_sha(group)[:8]}.json"
