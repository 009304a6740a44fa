"""Data sheets of accelerators, for estimates of hours and to know what fits.

Peak rates are NVIDIA's for dense matrices (its sheets of newer cards print twice as much, with sparsity), of the largest
version of each card. float16 and bf16 have one rate on all but V100, which has neither bf16 nor TF32. float32 is the
rate without TF32, since torch doesn't use TF32 for matrix products unless asked to (`precision: tf32`).

V100 SXM2: https://images.nvidia.com/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf
A100 SXM: https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf
RTX A6000: https://www.nvidia.com/content/dam/en-zz/Solutions/design-visualization/quadro-product-literature/proviz-print-nvidia-rtx-a6000-datasheet-us-nvidia-1454980-r9-web%20(1).pdf
H100 SXM: https://www.nvidia.com/en-us/data-center/h100/
L4: https://www.nvidia.com/en-us/data-center/l4/
A10G: https://d1.awsstatic.com/product-marketing/ec2/NVIDIA_AWS_A10G_DataSheet_FINAL_02_17_2022.pdf
H200 SXM: https://www.nvidia.com/en-us/data-center/h200/
RTX 4090: https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from raysweep.errors import did_you_mean

ACCELERATOR_LABEL = "ray.io/accelerator-type"
"""Ray's label of the nodes whose accelerators are of a type."""
NO_LABEL = "accelerators without a label"
"""What people are shown in the place of a type where a node with accelerators doesn't have the label."""
LEAST_CONTEXT_BYTES = 2**29
"""Memory that each process takes beside its tensors, at least: CUDA's kernels and libraries."""


@dataclass(frozen=True)
class DataSheet:
    """One accelerator. Rates are peaks; `memory` in bytes."""

    half_flops: float  # FLOP/s in float16 or bf16
    tf32_flops: float  # FLOP/s; 0: it has no TF32
    float32_flops: float  # FLOP/s
    bandwidth: float  # bytes/s of its memory
    memory: int
    has_bf16: bool = True

    def room(self, share: float = 1.0) -> int:
        """Return the most bytes that tensors of a process can take on a share of it; nothing that fits takes more.

        A card of 40 GB has up to 40 GiB.
        """
        return int(min(share, 1.0) * self.memory / 10**9 * 2**30) - LEAST_CONTEXT_BYTES

    def flops(self, number: str) -> float:
        """Return the peak FLOP/s in a number format: float32, tf32, or one of 16 bits."""
        rates = {"float32": self.float32_flops, "tf32": self.tf32_flops or self.float32_flops}
        return rates.get(number, self.half_flops)


ACCELERATORS: Mapping[str, DataSheet] = {
    "V100": DataSheet(125e12, 0, 15.7e12, 0.9e12, 32 * 10**9, has_bf16=False),
    "A100": DataSheet(312e12, 156e12, 19.5e12, 2.039e12, 80 * 10**9),
    "A6000": DataSheet(154.8e12, 77.4e12, 38.7e12, 0.768e12, 48 * 10**9),
    "H100": DataSheet(989.4e12, 494.7e12, 66.9e12, 3.35e12, 80 * 10**9),
    "H200": DataSheet(989.4e12, 494.7e12, 66.9e12, 4.8e12, 141 * 10**9),
    "A10G": DataSheet(70e12, 35e12, 35e12, 0.6e12, 24 * 10**9),
    "L4": DataSheet(121e12, 60e12, 30.3e12, 0.3e12, 24 * 10**9),
    "RTX 4090": DataSheet(165.2e12, 82.6e12, 82.6e12, 1.008e12, 24 * 10**9),
}


@cache
def data_sheet_of(device: str) -> tuple[str, DataSheet] | None:
    """Return the accelerator that a device's or label's name has in it: ``NVIDIA H100 80GB HBM3``, ``RTX-A6000``.

    The last size in the name is that of its memory: ``A100-40G``, ``H100-MIG-3G.40GB``.
    """
    plain = device.replace("-", " ").upper()
    known = next((name for name in ACCELERATORS if re.search(rf"\b{name}\b", plain)), None)
    if known is None:
        return None
    sizes = re.findall(r"\b(\d+) ?GB?\b", plain)
    sheet = ACCELERATORS[known]
    return known, replace(sheet, memory=int(sizes[-1]) * 10**9) if sizes else sheet


def similar_type(label: str) -> str:
    """Return `` (did you mean 'A6000'?)`` for a label of no known accelerator that is nearly one's; else nothing."""
    if data_sheet_of(label) is not None:
        return ""
    return did_you_mean(label, (name.replace(" ", "-") for name in ACCELERATORS))
