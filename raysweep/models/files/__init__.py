"""Finds what the files of models say and the installed packages don't read, or what they lack: before work, by name.

transformers and PEFT drop keys that another version wrote without an error, and the model is then another one.

    keys.py        what keys have in common: values that count, versions that wrote a file
    configs.py     config.json and generation_config.json
    rope.py        the frequencies of positions, which old and new versions write under other keys
    tokenizers.py  tokenizers, which are loaded as the version that wrote them would
    adapters.py    adapter_config.json
    tensors.py     tensors without numbers, and those of an adapter within a full model
"""
