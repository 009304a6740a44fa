"""Reads and checks the config of a sweep, and computes its grid.

Begin with schema.py; other folders call loading.py to get a checked config.

    schema.py     the sections of a config, each key with its meaning; paths become absolute
    models.py     the sections of models and recipes
    training.py   the sections of training rows (sources, and the sets that are made of them) and of edit examples
    resources.py  the section `resources`: what a config asks for the processes of each stage
    loggers.py    the loggers of Ray Tune by name
    fields.py     building blocks of the sections: checked names, numbers, pairs, specs of plug-ins, units
    document.py   reads YAML, applies `--set`, remembers the line of each key, quotes values in errors
    loading.py    loads a config from a file, a mapping or a sweep's folder; words pydantic's findings
    checks/       what several settings have to do with each other, and the files and models that they name
    groups.py     spells out recipes with lists of numbers, each of which stands for a group of recipes
    grid.py       computes cells and evaluation pairs
    changes.py    says in words which settings of a sweep changed, or which values of an artefact's spec
    reference.py  describes every key: type, default, unit, meaning
    examples.py   writes one of the configs in configs/ into a folder
"""
