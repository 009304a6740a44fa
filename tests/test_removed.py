"""What has been removed is named nowhere but in CHANGELOG.md: no page, message, option or setting speaks of it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.paths import REPO

REMOVED = re.compile(
    r"lm-eval|lm_eval|fait-claims|repair-claims|compare \S+ apr\b|--by\b|--cluster\b|problems_needed|pairs_needed"
    r"|detectable_(rate|mean)|choice-\w+\.csv|best in \(|decoy|outlook|raysweep\[testing\]|testing\.suites?"
    r"|python/(inside|cases)\b|--search beam|time_left\.py|stalls\.py"
)
PLACES = (
    "raysweep",
    "docs",
    "configs",
    "examples",
    "clusters",
    "README.md",
    "CONTRIBUTING.md",
    "mkdocs.yml",
    "pyproject.toml",
)
KINDS = {".py", ".md", ".yaml", ".yml", ".toml", ".html", ".jinja", ".json", ".sh"}


def _files() -> list[Path]:
    places = [REPO / place for place in PLACES]
    found = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    return [path for path in found if path.suffix in KINDS and "__pycache__" not in path.parts]


def test_nothing_speaks_of_what_was_removed():
    lines = {
        f"{path.relative_to(REPO)}:{number}": line.strip()[:100]
        for path in _files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if REMOVED.search(line)
    }
    assert lines == {}
