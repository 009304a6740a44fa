"""How the forward and backward passes of a training are computed; what they compute differs by rounding at most.

attention.py    attention among a pass's rows, without masks of all pairs of tokens
fused.py        LoRA and norms in fewer kernels (`kernels: fused`)
activations.py  computes activations again in the backward pass (gradient checkpointing)
"""
