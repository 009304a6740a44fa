"""Makes a folder of wheels from which a machine without a network installs the packages of this environment.

A wheel has a package's metadata and commands, and in place of its files a line that says where these are. So uv does on
such a machine what it does elsewhere: it looks for versions that go together, installs each, and writes its commands.
"""

from __future__ import annotations

import re
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

_KEPT = ("METADATA", "entry_points.txt")


def write_wheels(packages: Path, folder: Path) -> None:
    """Write a wheel for each package of an environment, whose site-packages is `packages`, but none of raysweep."""
    for package in distributions(path=[str(packages)]):
        if package.name != "raysweep":
            _write_wheel(package, packages, folder)


def _write_wheel(package: Distribution, packages: Path, folder: Path) -> None:
    name = re.sub(r"[-_.]+", "_", package.name)
    info = f"{name}-{package.version}.dist-info"
    texts = {f"{info}/{kept}": text for kept in _KEPT if (text := package.read_text(kept))}
    texts[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: raysweep\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    texts[f"{name}.pth"] = f"{packages}\n"
    texts[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*texts, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{package.version}-py3-none-any.whl", "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(path, text)
