"""``compat: recode``: prompts perturbed as ReCode's released code does it, its slips included (study.md section 4).

The region starts one character and all blanks after the opening quotes and ends before the first ``>>>``; without one
it takes the closing quotes in. Protected words, those of the reference solution among them, are masked meanwhile.
"""

from __future__ import annotations

import io
import keyword
import tokenize

from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.protection import is_protected
from raysweep.perturbations.regions import ALWAYS_PROTECTED

_MASK = "<|||>"


def recode_prompt(method: Perturbation, prompt: str, entry_point: str, reference: str | None, seed: int) -> str:
    """Return a prompt as ReCode perturbs it with `seed`; a prompt without a docstring comes back as it is.

    Raises:
        UsageError: when the method has no `compat: recode`.
    """
    start, stop = _region(prompt, entry_point)
    protected = _names(prompt + (reference or "")) | ALWAYS_PROTECTED
    words = prompt[start:stop].split(" ")
    kept = iter([word for word in words if is_protected(word, protected)])
    masked = " ".join(_MASK if is_protected(word, protected) else word for word in words)
    changed = method.perturb_recode(masked, seed).replace("< ||| >", _MASK)
    pieces = changed.split(_MASK)
    filled = pieces[0] + "".join(next(kept, _MASK) + piece for piece in pieces[1:])
    return prompt[:start] + filled + prompt[stop:]


def require_recode(method: Perturbation) -> None:
    """Raise UsageError where a method, or a member of an aggregate, has no `compat: recode`."""
    for each in [PERTURBATIONS.create(part) for part in method.parts] or [method]:
        each.perturb_recode("text", seed=0)


def _region(prompt: str, entry_point: str) -> tuple[int, int]:
    """Return ReCode's (start, end); an empty region at the end where there is no docstring."""
    entry = max(0, prompt.find(entry_point))
    quotes = prompt.find('"""', entry)
    if quotes < 0:
        quotes = prompt.find("'''", entry)
    if quotes < 0:
        return len(prompt), len(prompt)
    start = quotes + len('"""') + 1
    while start < len(prompt) and prompt[start].isspace():
        start += 1
    doctest = prompt.find(">>>", entry)
    stop = doctest if doctest >= 0 else len(prompt) - 1
    return start, max(start, len(prompt[:stop].rstrip()))


def _names(code: str) -> frozenset[str]:
    """Return the NAME tokens of code, Python keywords excluded, up to where it stops being Python."""
    names: set[str] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NAME:
                names.add(token.string)
    except (tokenize.TokenError, SyntaxError):
        pass
    return frozenset(names) - frozenset(keyword.kwlist)
