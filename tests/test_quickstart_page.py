"""README.md's table of the quickstart, and the example that docs/numbers.md takes from it."""

from __future__ import annotations

import shutil

from tests.quickstart_page import NUMBERS, README, example_of, table_of, write


def test_the_example_of_the_numbers_is_the_row_that_the_readme_shows():
    readme, numbers = (page.read_text(encoding="utf-8") for page in (README, NUMBERS))
    assert example_of(table_of(readme)) in numbers, "`python -m tests.quickstart_page < README.md` writes it anew"


def test_both_pages_are_written_from_what_the_command_prints(tmp_path):
    pages = [tmp_path / page.name for page in (README, NUMBERS)]
    for page, copy in zip((README, NUMBERS), pages, strict=True):
        shutil.copy(page, copy)
    before = table_of(README.read_text(encoding="utf-8"))
    base = next(line for line in before.splitlines() if line.startswith("llama       none"))
    printed = before.replace(base, "llama none base 42 0.900 0.100 (0.89) 0.100 (0.89) 0.100 (0.89) 0.450 (0.50)")
    write("a line before\n" + printed.replace("...", "/tmp/here", 1).replace("raysweep-store", "mine"), *pages)
    readme, numbers = (page.read_text(encoding="utf-8") for page in pages)
    assert printed in readme and readme.count("minicode: pass@1") == 1
    assert "its RD is (0.900 - 0.450) / 0.900 = 0.50." in " ".join(numbers.split())
