"""Random models of transformers' architectures."""

from tests.models.conftest import random  # noqa: F401
