"""Adds to pyproject.toml that configs/ is installed as raysweep/configs/, where `raysweep init` finds its files."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["raysweep*"]), "raysweep.configs"], package_dir={"raysweep.configs": "configs"})
