"""docs/contracts.md: it is what the base classes' docstrings give, and has every kind of part."""

from __future__ import annotations

from tests.contracts_page import KINDS, PAGE, written


def test_the_page_is_the_one_that_the_docstrings_give():
    assert PAGE.read_text(encoding="utf-8") == written(), "`python -m tests.contracts_page` writes it anew"


def test_the_page_has_every_kind_of_part():
    from raysweep.cli.views.names import REGISTRIES
    from raysweep.language.synonyms.base import SYNONYMS
    from raysweep.language.tagging.base import TAGGERS
    from raysweep.language.translation.base import TRANSLATORS

    registries = {*REGISTRIES.values(), SYNONYMS, TAGGERS, TRANSLATORS}
    bases = {(r.package, f"{r.base.__module__}.{r.base.__qualname__}") for r in registries}
    assert {(f"raysweep.{group}", f"raysweep.{module}.{name}") for module, name, group, _ in KINDS.values()} == bases
