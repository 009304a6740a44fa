"""raysweep: how robust are code models, and how much does fine-tuning on perturbed data help? See README.md."""

__version__ = "0.1.0"
