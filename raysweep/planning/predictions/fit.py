"""Decides whether the tensors of a process fit into the memory that it has, and whether it can compute in bf16.

The bytes that are needed are the predicted peak of the tensors alone, and an accelerator counts with all of its memory
but what every process takes there. So nothing is refused that would fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from raysweep.accelerators import data_sheet_of
from raysweep.units import size


@dataclass(frozen=True)
class Room:
    """The memory that a process has for its tensors.

    `bytes`: of the share of the accelerator that the process gets; `source`: what says so, such as ``this machine``;
    `share`: of an accelerator; 1: all of it, or the process has none.
    """

    bytes: int
    source: str
    has_bf16: bool = True
    share: float = 1.0

    def lack(self, needed: int, in_bf16: bool = False) -> str:
        """Return what is lacking, such as ``has neither bf16 nor TF32``; else "".

        `needed`: bytes at least; 0: not known. `in_bf16`: it computes in either.
        """
        if in_bf16 and not self.has_bf16:
            return "has neither bf16 nor TF32"
        if needed > self.bytes:
            share = f" on a share of {self.share:g}" if self.share < 1 else ""
            return f"has room for {size(self.bytes)}{share}, and {size(needed)} are needed"
        return ""


@cache
def room_on(label: str, gpus: float = 1.0) -> Room | None:
    """Return a type's memory, None if unknown. `gpus`: how many a process gets; less than one is a share."""
    known = data_sheet_of(label)
    if known is None:
        return None
    share, (_, sheet) = min(gpus, 1.0), known
    return Room(sheet.room(share), f"the accelerator {label}", sheet.has_bf16, share)
