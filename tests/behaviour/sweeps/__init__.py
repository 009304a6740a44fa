"""Whole sweeps: one after the other, at once, on a disk and in an object store."""
