"""Adds to pyproject.toml that a wheel has configs/ as raysweep/configs/, where `raysweep init` finds its files.

An editable installation finds them in the checkout. It consists of a line in a .pth file, since `package_dir` names the
checkout alone: then `import raysweep` also works in the folder above a checkout of that name, which Python would
otherwise take for a package without modules.
"""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copies configs/*.yaml into the package."""

    def run(self) -> None:
        """Build the package anew, without what an earlier build left of files that are gone; add the configs."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "raysweep", "configs")
            target.mkdir(parents=True, exist_ok=True)
            for config in Path("configs").glob("*.yaml"):
                shutil.copy(config, target)


setup(packages=find_packages(include=["raysweep*"]), package_dir={"": "."}, cmdclass={"build_py": BuildWithConfigs})
