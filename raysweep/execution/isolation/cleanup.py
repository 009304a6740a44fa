"""Removes folders that programs leave, whatever their depth and modes, without following links."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

_OUTPUT_TO_NULL = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)]


def remove_folder(folder: str) -> None:
    """Remove a folder with everything in it, whatever its mode, or a link; ignore what can't be removed.

    Names in it aren't read: a program chose them, and the next one would find them in the memory of this process.
    """
    with suppress(OSError):
        os.unlink(folder)  # noqa: PTH108
    with suppress(OSError):
        os.chmod(folder, 0o700)  # noqa: PTH101
        try:
            os.rmdir(folder)  # noqa: PTH106
        except OSError:
            _remove_below(folder)
            os.rmdir(folder)  # noqa: PTH106


def _remove_below(folder: str) -> None:
    """Remove everything in a folder. `find` does it, because Python's functions fail in very deep folders."""
    try:
        for command in (("chmod", "-R", "u+rwX", folder), ("find", folder, "-mindepth", "1", "-delete")):
            os.waitpid(os.posix_spawnp(command[0], command, os.environ, file_actions=_OUTPUT_TO_NULL), 0)
    except OSError:  # an image without these commands, or no room for another process
        for name in os.listdir(folder):  # noqa: PTH208
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
            with suppress(OSError):
                os.unlink(f"{folder}/{name}")  # noqa: PTH108
