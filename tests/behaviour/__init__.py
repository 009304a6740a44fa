"""Tests of what several parts of raysweep do together."""
