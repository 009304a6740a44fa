"""Escapes text for LaTeX. The result is ASCII and accented letters, which every engine prints without more packages."""

from __future__ import annotations

import unicodedata

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",  # after the end of a row it would begin an argument
    "]": "{]}",
    "*": "{*}",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "·": r"$\cdot$",
    "→": r"$\rightarrow$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\u00a0": "~",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
}
"""Characters that LaTeX reads as commands, or that its fonts lack, each with what prints it."""
_NEED_T1 = "ÐðÞþ"


def escape_latex(text: str) -> str:
    escaped: list[str] = []
    for before, char in zip(f" {text}", text, strict=False):
        if char == before == "-":
            escaped.append("{}")  # two hyphens would be a dash
        escaped.append(ESCAPES.get(char) or (" " if char.isspace() else char if _prints(char) else _name(char)))
    return "".join(escaped)


def _prints(char: str) -> bool:
    return " " <= char <= "~" or ("À" <= char <= "ÿ" and char.isalpha() and char not in _NEED_T1)


def _name(char: str) -> str:
    return f"({unicodedata.name(char, f'U+{ord(char):04X}').lower()})"
