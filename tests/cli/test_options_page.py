"""docs/command-options.md: it is what the functions of the command line give."""

from __future__ import annotations

from tests.options_page import PAGE, written


def test_the_page_is_the_one_that_the_commands_give():
    assert PAGE.read_text(encoding="utf-8") == written(), "`python -m tests.options_page` writes it anew"
