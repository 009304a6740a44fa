from __future__ import annotations

import pytest
import torch

from raysweep.models.attention import disable_cudnn_attention


@pytest.mark.parametrize(("device", "is_used"), [("cuda", False), ("cpu", True)])
def test_attention_on_accelerators_is_computed_without_cudnn(device, is_used):
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        disable_cudnn_attention(torch.device(device))
        assert torch.backends.cuda.cudnn_sdp_enabled() == is_used
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)
