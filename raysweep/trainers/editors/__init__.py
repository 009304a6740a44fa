"""Editors change a few weights of a base model from one edit example.

Begin with base.py, which defines what an editor gets and returns.

    base.py          the contract of an editor, their registry, checks of settings, seconds of an edit's parts
    running.py       runs one edit and checks it: the base stays what it was, and the edit acts
    creme.py         aligns a block's states on the perturbed prompt with those on the original one (CREME)
    dinm.py          trains the matrix of the block where a safe and an unsafe text are furthest apart (DINM)
    rome.py          gives a matrix a chosen output for a chosen key, by a change of rank one (ROME)
    lora_edit.py     trains low-rank updates on one pair (LoRA)
    localization.py  finds the block whose states carry a prompt's damage, by patching each
    patched_states.py  replaces a block's states by those of another text
    shared_positions.py  says which positions of two prompts are patched
    places.py        chooses the block: by number, place or DINM's distance
    states.py        reads hidden states, and adds a change to a matrix without writing into it
    texts.py         turns a pair's texts into tokens, and rows of tokens into a batch; samples texts of a base
    descent.py       the losses that editors share, and their descent over one tensor, stop rules included
    planted.py       damages one matrix of a base for one kind of prompt, so that the right repair is known
"""
