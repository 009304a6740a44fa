"""Counts of a checkout: modules and folders, floors of imports, large classes and functions, lines of code and docs.

Floors are counted twice: as the longest chain of imports between names of the top level, and, where the checkout has
`tests/test_borders.py`, as the floors that its order of imports names (names of one floor may import each other).

``python -m tests.count [FOLDER OF A CHECKOUT]`` prints them for a checkout of any version, by default for this one.
"""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

from tests.paths import REPO
from tests.syntax import parsed

FULL_FOLDER = 15
"""A folder with more modules may hold two ideas."""
LONG_FUNCTION = 50
"""A function of more lines may hold two ideas."""


def top_level(package: Path) -> list[str]:
    """Return the modules and folders of a package's top level."""
    modules = {path.stem for path in package.glob("*.py")}
    return sorted(modules | {path.parent.name for path in package.glob("*/__init__.py")})


def imported(path: Path, package: Path) -> set[str]:
    """Return the top-level names of the package that a module imports, inside functions and `TYPE_CHECKING` too."""
    names = set(top_level(package))
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        dotted: list[str] = []
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(package.parent).parts[: -node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            dotted = [f"{module}.{alias.name}" for alias in node.names]
        for parts in (name.split(".") for name in dotted):
            if parts[0] == package.name:
                found.add(parts[1] if len(parts) > 1 and parts[1] in names else "__init__")
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Return, for each top-level name, the other top-level names that it imports."""
    graph: dict[str, set[str]] = {name: set() for name in top_level(package)}
    for path in package.rglob("*.py"):
        name = path.relative_to(package).parts[0].removesuffix(".py")
        graph[name] |= imported(path, package) - {name}
    return graph


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    """Return the longest chain of imports from top to bottom; each link is a name, or a circle's names with commas."""
    reached = {name: _reached(graph, name) for name in graph}
    circle_of = {name: frozenset({name, *(r for r in reached[name] if name in reached[r])}) for name in graph}
    merged: dict[frozenset[str], set[frozenset[str]]] = {}
    for name, others in graph.items():
        merged.setdefault(circle_of[name], set()).update(circle_of[o] for o in others if o not in circle_of[name])
    chains: dict[frozenset[str], list[str]] = {}
    for names in TopologicalSorter(merged).static_order():
        below = max((chains[other] for other in merged[names]), key=len, default=[])
        chains[names] = [",".join(sorted(names)), *below]
    return max(chains.values(), key=len, default=[])


def named_floors(checkout: Path) -> int | None:
    """Return the number of floors that the checkout's order of imports names; None where it has no such order."""
    borders = checkout / "tests" / "test_borders.py"
    order = re.search(r'^FLOORS = """(.+?)"""', borders.read_text(), re.M | re.S) if borders.is_file() else None
    return 1 + order[1].count("|") if order else None


def lines(folder: Path) -> tuple[int, int]:
    """Return the Python files below a folder and their lines."""
    files = [path for path in folder.rglob("*.py") if path.is_file()]
    return len(files), sum(len(path.read_text().splitlines()) for path in files)


def folders(package: Path) -> dict[str, tuple[int, int, str]]:
    """Return, for each folder of a package, its modules, the most methods of a class in it, and that class's name."""
    found: dict[str, tuple[int, int, str]] = {}
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        classes = [node for path in modules for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)]
        most, name = max(((len(methods(one)), one.name) for one in classes), default=(0, ""))
        found[folder.relative_to(package).as_posix()] = len(modules), most, name
    return found


def methods(node: ast.ClassDef) -> list[str]:
    """Return the names of a class's own methods."""
    return [one.name for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def long_functions(package: Path, longest: int = LONG_FUNCTION) -> dict[str, int]:
    """Return the functions of a package that have more lines than `longest`, with their lines."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > longest:
                    found[f"{path.relative_to(package).as_posix()}:{node.name}"] = length
    return found


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def main() -> None:
    """Print the counts of the checkout that the command line names."""
    checkout = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else REPO
    package = checkout / "raysweep"
    modules = len(list(package.glob("*.py")))
    print(f"{'modules at the top level':32} {modules:7,}")
    print(f"{'folders at the top level':32} {len(top_level(package)) - modules:7,}")
    chain = longest_chain(import_graph(package))
    print(f"{'longest chain of imports':32} {len(chain):7,}  {' > '.join(chain)}")
    print(f"{'floors in the order of imports':32} {named_floors(checkout) or 'no order':>7}")
    for name in ("raysweep", "tests"):
        files, count = lines(checkout / name)
        print(f"{'lines of ' + name + '/ (Python)':32} {count:7,}  in {files} files")
    pages = [*(checkout / "docs").glob("*.md"), checkout / "README.md"]
    text = sum(len(path.read_text().splitlines()) for path in pages)
    print(f"{'lines of docs/ and README.md':32} {text:7,}  in {len(pages)} files")
    found = long_functions(package)
    print(f"{f'functions of over {LONG_FUNCTION} lines':32} {len(found):7,}  {', '.join(found)}")
    rooms = folders(package)
    full = [name for name, (files, _, _) in rooms.items() if files > FULL_FOLDER]
    print(f"{f'folders of over {FULL_FOLDER} modules':32} {len(full):7,}  {', '.join(full)}")
    print(f"\n{'folder':32} {'modules':>7}  most methods of a class")
    for name, (files, most, largest) in rooms.items():
        print(f"{name:32} {files:7}  {f'{most} {largest}' if most else ''}")


if __name__ == "__main__":
    main()
