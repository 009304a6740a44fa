"""Back-translation engines.

Begin with base.py for the contract.

    base.py      defines the contract, and chooses the engine for ``auto``
    neural.py    translates with two neural models: `fsmt` and `marian`
    apertium.py  translates with Apertium's rules, offline and on the CPU
"""
