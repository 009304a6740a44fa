"""The shapes of models: weights, tokens and bytes follow from them, without torch, weights or network.

Beside the code lies a small config for each of some published models, under its hub id: only the numbers, as in the
config.json of its repository on https://huggingface.co, and the number format of the weights there.

    shape.py         the numbers of a model, from a transformers config; how many weights it has
    known.py         finds the config of a model: shipped under its hub id, or in its own folder
"""
