"""Writes docs/contracts.md, what each kind of part must do, from the docstrings of the base classes.

``python -m tests.contracts_page`` writes it anew after one of them was changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.paths import REPO
from tests.syntax import parsed

PAGE = REPO / "docs" / "contracts.md"
KINDS = {  # kind: module, base class, entry-point group, and what else of the module its authors need
    "Perturbation": ("perturbations.base", "Perturbation", "perturbations", ""),
    "Problem set": ("problems.base", "ProblemSet", "problems", ""),
    "Metric": ("metrics.base", "Metric", "metrics", "CellLabels Evaluation Measurement"),
    "Comparison of two models": (
        "analysis.comparisons.base",
        "Comparison",
        "analysis.comparisons",
        "ProblemRates shared_values",
    ),
    "Kind of table or figure": ("analysis.exhibits.base", "Exhibit", "analysis.exhibits", "Evidence Drawn"),
    "Section of the report": ("analysis.sections.base", "Section", "analysis.sections", "Report Content"),
    "Generator": ("generators.base", "Generator", "generators", "cut_at_stop LiveModel"),
    "Source of training rows": ("training_sets.base", "TrainingSource", "training_sets", ""),
    "Model family": ("models.families.base", "ModelFamily", "models", "ModulePaths"),
    "Trainer": ("trainers.base", "Trainer", "trainers", "TrainJob Services"),
    "Editor": (
        "trainers.editors.base",
        "Editor",
        "trainers.editors",
        "EditJob EditServices ModelEdit EditEffort NotReproduced",
    ),
    "Objective": ("trainers.base", "Objective", "trainers.objectives", "LossSum InWords RowServices"),
    "Tagger": ("language.tagging.base", "Tagger", "language.tagging", ""),
    "Source of synonyms": ("language.synonyms.base", "Synonyms", "language.synonyms", ""),
    "Translator": ("language.translation.base", "Translator", "language.translation", "is_believable"),
}
RECORDS = "Segment Problem PromptRow SourceRow TrainingRow Decoding GenerationRequest Completion Result PromptPair"
HEAD = """# Contracts

What each kind of part must do, from the docstrings of the base classes; [parts of your own](plugins.md) says what holds
for all of them. An attribute without a value is to be set, and a method marked *to write* to be written; the others may
be overridden. `python -m tests.contracts_page` writes this page. What `check` yields is at the end, under
[Finding](#finding).

| kind | base class | entry-point group | you write |
|---|---|---|---|
"""
SECTION = re.compile(r"^(Args|Returns|Raises):$")
ITEM = re.compile(r"^ {4}(\w+): (.*)")


def written() -> str:
    """Return the page."""
    rows, parts = [], []
    for kind, (module, name, group, others) in KINDS.items():
        source = REPO / "raysweep" / f"{module.replace('.', '/')}.py"
        link = f"[{kind.lower()}](#{kind.lower().replace(' ', '-')})"
        wanted = ", ".join(f"`{member}`" for member in to_write(node(source, name)))
        rows.append(f"| {link} | `raysweep.{module}.{name}` | `raysweep.{group}` | {wanted} |\n")
        folder = f"raysweep/{group.replace('.', '/')}" + "/families" * (group == "models")
        parts.append(
            f"\n## {kind}\n\nBase class `raysweep.{module}.{name}`, entry-point group `raysweep.{group}`. "
            f'Inside raysweep: a file in `{folder}/` with `@{registry(source, name)}.register("NAME")`.\n'
        )
        parts.append(section(source, name))
        parts += [f"\n### {other}\n{section(source, other)}" for other in others.split()]
    records = "\n## Records\n\nParts exchange these frozen dataclasses of `raysweep.records`.\n"
    of_records = [f"\n### {name}\n{section(REPO / 'raysweep' / 'records.py', name)}" for name in RECORDS.split()]
    return "".join([HEAD, *rows, *parts, records, *of_records, finding()])


def finding() -> str:
    """Return the section of what the `check` of a part yields."""
    body = parsed(REPO / "raysweep" / "errors.py").body
    at, type_ = next((at, part.value) for at, part in enumerate(body) if ast.unparse(part).startswith("Finding ="))
    text = " ".join(ast.literal_eval(body[at + 1].value).split())
    return f"\n## Finding\n\n`raysweep.errors.Finding` is `{ast.unparse(type_)}`: {text}\n"


def node(source: Path, name: str) -> ast.ClassDef | ast.FunctionDef:
    """Return the class or function of a name in a module."""
    return next(part for part in parsed(source).body if getattr(part, "name", "") == name)


def registry(source: Path, name: str) -> str:
    """Return the name of the registry of a base class."""
    fields = [part for part in parsed(source).body if isinstance(part, ast.AnnAssign)]
    return next(part.target.id for part in fields if ast.unparse(part.annotation) == f"Registry[{name}]")


def to_write(base: ast.ClassDef) -> list[str]:
    """Return the attributes that a base class leaves open, and its abstract methods."""
    fields = [part.target.id for part in base.body if isinstance(part, ast.AnnAssign) and part.value is None]
    is_open = [name for name in fields if name not in ("name", "id")]
    return is_open + [part.name for part in base.body if isinstance(part, ast.FunctionDef) and decorated(part)]


def decorated(method: ast.FunctionDef, name: str = "abstractmethod") -> bool:
    """Return whether a method has a decorator."""
    return any(getattr(decorator, "id", "") == name for decorator in method.decorator_list)


def section(source: Path, name: str) -> str:
    """Return the Markdown of a class or function: its docstring, attributes and methods."""
    part = node(source, name)
    if isinstance(part, ast.FunctionDef):
        return f"\n`{signature(part)}`\n\n{markdown(ast.get_docstring(part))}\n"
    text, texts = divided(ast.get_docstring(part) or "")
    attributes = "".join(described(part, texts, source.read_text(encoding="utf-8").splitlines()))
    methods = [method for method in part.body if isinstance(method, ast.FunctionDef) and method.name[0] != "_"]
    listed = "".join(entry(method) for method in methods if not decorated(method, "cached_property"))
    return "\n" + "\n".join(filter(None, [f"{markdown(text)}\n", attributes, listed]))


def divided(docstring: str) -> tuple[str, dict[str, str]]:
    """Return a docstring without its section `Attributes`, and the text of each attribute."""
    before, _, after = docstring.partition("\nAttributes:\n")
    texts, name = {}, ""
    for line in after.splitlines():
        if item := ITEM.match(line):
            name = item[1]
            texts[name] = item[2]
        elif line.strip():
            texts[name] += f" {line.strip()}"
    return before, texts


def described(base: ast.ClassDef, texts: dict[str, str], lines: list[str]) -> Iterator[str]:
    """Yield a list item for each attribute: type, default, and its text.

    The text is that of the class's docstring, else the string below the attribute or the comment behind it.
    """
    for part, below in zip(base.body, [*base.body[1:], None], strict=True):
        if not isinstance(part, ast.AnnAssign) or ast.unparse(part) == "name: ClassVar[str]":
            continue
        name = part.target.id
        text = texts.get(name) or lines[part.end_lineno - 1][part.end_col_offset :].partition("#")[2].strip()
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            text = " ".join(below.value.value.split())
        declared = re.sub(r"^ClassVar\[(.*)\]$", r"\1", ast.unparse(part.annotation))
        default = ast.unparse(part.value) if part.value else ""
        shown = f" = {default if '(' not in default or default == '()' else '...'}" if default else ""
        shown = "" if default.startswith("field(metadata") else shown
        yield f"- `{name}: {declared}{shown}`{': ' if text else ''}{text.replace('``', '`')}\n"


def entry(method: ast.FunctionDef) -> str:
    """Return the paragraphs of a method."""
    mark = " *to write*." if decorated(method) else ""
    return f"**`{signature(method)}`**{mark}\n\n{markdown(ast.get_docstring(method))}\n\n"


def signature(function: ast.FunctionDef) -> str:
    """Return a function's name with its arguments, without `self`; of a property the name alone."""
    returned = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    if decorated(function, "property"):
        return f"{function.name}{returned.replace(' ->', ':')}"
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(function.args))
    return f"{function.name}({arguments}){returned}"


def markdown(docstring: str | None) -> str:
    """Return a docstring of Google's style as Markdown: names and literals in backticks, sections as lists."""
    lines, listed = [], False
    for line in (docstring or "").replace("``", "`").splitlines():
        if heading := SECTION.match(line):
            listed = True
            lines.append("Arguments:\n" if heading[1] == "Args" else f"{heading[1]}:\n")
        elif listed and (item := ITEM.match(line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif listed and line.startswith("    "):
            lines.append(f"    {line.strip()}")
        else:
            listed = listed and not line
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
