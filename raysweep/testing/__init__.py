"""Suites of tests for authors of parts: one class for each kind, which holds what its contract asks.

They need the extra `testing`, which services.py and tiny.py alone do without. Nothing else of raysweep imports them.
docs/plugins.md shows how to use them.

    contract.py        what every part must do; how a suite gets the part that it tests
    perturbations.py   the contract of perturbations
    problems.py        the contract of problem sets
    training_sets.py   the contract of sources of training rows
    metrics.py         the contract of metrics
    comparisons.py     the contract of comparisons of two models
    measurements.py    what holds for the numbers of metrics and of comparisons
    generators.py      the contract of generators
    trainers.py        the contract of trainers
    objectives.py      the contract of objectives
    editors.py         the contract of editors
    families.py        the contract of model families
    sections.py        the contract of sections of the report, and the records of a small sweep
    services.py        the services of a training and of an edit without an engine
    tiny.py            tiny models, rows and requests
"""

import pkgutil
import sys

if pytest := sys.modules.get("pytest"):  # under pytest, failures then show the values that were compared
    pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
