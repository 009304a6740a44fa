"""A package beside raysweep: a perturbation, and parts that a test of raysweep needs."""
