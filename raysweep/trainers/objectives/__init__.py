"""Losses: one file an objective."""
