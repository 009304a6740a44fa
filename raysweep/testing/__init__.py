"""Suites of tests for authors of parts: classes which hold what the contract of a kind asks, and one for every kind.

They need the extra `testing`, which services.py and tiny.py alone do without. Nothing else of raysweep imports them.
docs/plugins.md shows how to use them.

    contract.py        what every part must do, for kinds without a suite of their own too; how a suite gets its part
    perturbations.py   the contract of perturbations
    problems.py        the contract of problem sets
    training_sets.py   the contract of sources of training rows
    metrics.py         the contract of metrics
    generators.py      the contract of generators
    trainers.py        the contract of trainers
    objectives.py      the contract of objectives
    services.py        the services of a training and of an edit without an engine
    tiny.py            tiny models, rows and requests
"""

import pkgutil
import sys

if pytest := sys.modules.get("pytest"):  # under pytest, failures then show the values that were compared
    pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
