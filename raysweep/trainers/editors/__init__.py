"""Editors change a few weights of a base model from one prompt pair.

base.py          the contract of an editor, and their registry
"""
