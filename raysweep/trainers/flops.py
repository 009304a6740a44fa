"""Counts the FLOPs of a training, as model FLOPs utilisation does (PaLM, appendix B, https://arxiv.org/abs/2204.02311).

What is computed twice to save memory counts once.
"""

from __future__ import annotations

from raysweep.models.architectures.shape import Shape
from raysweep.trainers.base import Recipe
from raysweep.trainers.memory import trained_weights


def flops_per_token(shape: Shape, recipe: Recipe, width: float) -> float:
    """Return the FLOPs of the forward and backward pass of one token, attention included.

    6 for each weight; 4 for each of an adapter's frozen base, which gets no gradient. Of a model with an encoder and a
    decoder, each token is taken to go through one of them.

    `width`: tokens of a row.
    """
    frozen = recipe.trainer in ("lora", "ia3")
    trained = trained_weights(shape, recipe) if recipe.trainer == "lora" else 0  # IA3's vectors are too few to count
    dense = (4 if frozen else 6) * shape.weights + 6 * trained
    if shape.decoder_layers:
        return dense / 2 + 12 * (shape.layers + 2 * shape.decoder_layers) / 2 * shape.query * width / 2
    return dense + 12 * shape.layers * shape.query * width
