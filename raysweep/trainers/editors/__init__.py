"""Editors change a few weights of a base model from one prompt pair.

base.py          the contract of an editor, and their registry
localization.py  finds the block whose states carry a prompt's damage, by patching each
patched_states.py  replaces a block's states by those of another text
shared_positions.py  says which positions of two prompts are patched
"""
