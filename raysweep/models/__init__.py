"""Finds, loads and identifies models, and knows the architectures.

Begin with finding.py and loading.py, through which other folders find and load models.

    finding.py       finds a model or adapter in a folder or on the hub, and checks that it can be loaded
    loading.py       loads a model and its tokenizer; builds empty networks
    loadable.py      finds before work why transformers can't load a model here
    quantizing.py    holds a base's linear layers in 4 or 8 bits
    adapters.py      puts adapters on their bases, or says why they don't fit; unties embeddings that they change
    traits.py        one record of what a model is: ends, limits, control tokens
    config_files.py  fills in what transformers takes where configs are silent, says what isn't used of them
    vocabulary.py    reads what a tokenizer's tokens are, from its files or a loaded one
    identity.py      hashes a model's content for keys
    hub.py           reads the small files of a folder or of the hub, and explains why it can't
    versions.py      keeps one model in memory that becomes any version of its base
    deltas.py        saves and applies the tensors in which a model differs from its base
    effects.py       proves that an adapter acts, and that merging it changes nothing
    scratch.py       prepares training from scratch: trains a tokenizer, writes a config
    whole_texts.py   calls a model with whole texts, for all logits or chosen ones: without a cache, unless it needs one
    rounding.py      compares logits within what a number format's rounding explains
    files/           finds what files say and the installed packages don't read, and tensors that can't be meant
    families/        one file per architecture
    architectures/   the shapes of models, from which weights and memory follow
"""
