"""Objectives, the training loop, and what it trains."""
