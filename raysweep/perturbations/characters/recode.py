"""``compat: recode``: perturbs prompts as ReCode's released code does, mistakes included.

The perturbed region starts behind the opening quotes, one more character and all blanks, and ends before the first
``>>>``; without a ``>>>`` it includes the closing quotes. Protected words, which here include the names in the
reference solution, are replaced by a mask before the perturbation and put back after it.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from abc import abstractmethod

from raysweep.errors import UsageError
from raysweep.perturbations.base import PERTURBATIONS, Perturbation
from raysweep.perturbations.mixes import members_of
from raysweep.prompts.protection import is_protected
from raysweep.prompts.regions import ALWAYS_PROTECTED

_MASK = "<|||>"


class RecodePerturbation(Perturbation):
    """A perturbation that can also reproduce ReCode's own texts."""

    @abstractmethod
    def perturb_recode(self, text: str, seed: int) -> str:
        """Return `text` as ReCode's code perturbs it, bit for bit; the strength has no effect."""


def recode_prompt(method: Perturbation, prompt: str, entry_point: str, reference: str | None, seed: int) -> str:
    """Return a prompt as ReCode perturbs it with `seed`; a prompt without a docstring comes back as it is.

    Raises:
        UsageError: the method has no `compat: recode`.
    """
    start, stop = _region(prompt, entry_point)
    protected = _names(prompt + (reference or "")) | ALWAYS_PROTECTED
    words = prompt[start:stop].split(" ")
    kept = iter([word for word in words if is_protected(word, protected)])
    masked = " ".join(_MASK if is_protected(word, protected) else word for word in words)
    changed = _recodable(method).perturb_recode(masked, seed).replace("< ||| >", _MASK)
    pieces = changed.split(_MASK)
    filled = pieces[0] + "".join(next(kept, _MASK) + piece for piece in pieces[1:])
    return prompt[:start] + filled + prompt[stop:]


def require_recode(method: Perturbation) -> None:
    """Raise UsageError if a method, or a member of an aggregate, has no `compat: recode`."""
    for member in members_of(method):
        _recodable(member)


def _recodable(method: Perturbation) -> RecodePerturbation:
    if not isinstance(method, RecodePerturbation):
        classes = ((name, PERTURBATIONS.get(name)) for name in PERTURBATIONS.names())
        names = [name for name, cls in classes if issubclass(cls, RecodePerturbation) and cls.level != "none"]
        raise UsageError(f"perturbation {method.name} has no `compat: recode`; methods with it: {', '.join(names)}")
    return method


def _region(prompt: str, entry_point: str) -> tuple[int, int]:
    """Return the (start, end) of ReCode's region; without a docstring an empty one at the prompt's end."""
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
    names: set[str] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.NAME:
                names.add(token.string)
    except (tokenize.TokenError, SyntaxError):
        pass
    return frozenset(names) - frozenset(keyword.kwlist)
