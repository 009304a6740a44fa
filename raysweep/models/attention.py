"""Chooses among torch's implementations of attention what suits texts of all lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def disable_cudnn_attention(device: torch.device) -> None:
    """Have torch compute attention without cuDNN in this process, on an accelerator.

    cuDNN plans each shape anew, which takes tens of milliseconds, and torch prefers it on Hopper. Here nearly every
    forward pass has another shape: the cache grows by each token, and batches are as wide as their longest row
    (benchmarks/history/2026-11.md, "On a GPU"). torch's other kernels take any shape.
    """
    if device.type == "cuda":
        import torch

        torch.backends.cuda.enable_cudnn_sdp(False)
