"""What a model remembers of the rows that it has read, in the ways in which the loop calls one.

Begin with base.py, the contract of these ways. The generator transformers chooses the way that is right for a model.

    base.py           the contract: a way of calling a model, the cache of rows, a prompt's cache that gives out copies
    kv_cache.py       with keys and values, the usual way
    encoder_cache.py  with keys and values of a decoder's tokens and of its prompt's, which an encoder has read
    own_cache.py      with the cache that a recurrent or hybrid model makes
    no_cache.py       with the whole text for each token
    long_rope.py      has LongRoPE choose the frequencies of each row by that row alone
"""
