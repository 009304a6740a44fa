"""How a forward and a backward pass of a training are computed: each file may go without another result than rounding.

attention.py    attention among a pass's rows, without masks of all pairs of tokens
activations.py  computes activations again in the backward pass (gradient checkpointing)
"""
