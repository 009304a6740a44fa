"""The file system through which Ray Tune and Ray Train write into a store on a disk.

Both create missing folders, and so would write into the empty place of a root that has vanished. Here the folders are
created as raysweep's own are (`raysweep.storage.files`), which waits for the root. Object stores need nothing like it.
"""

from __future__ import annotations

import os
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from raysweep.storage.files import Files


class StoreDisk(LocalFileSystem):  # type: ignore[misc]
    """The disk that a store lies on. `root`: the store's; folders are created only below it."""

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(**options)
        self._store = Files(root, expected=True)

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Raise StoreError if the store's root has vanished and doesn't come back."""
        self._store.create_folder(os.path.relpath(self._strip_protocol(path), self._store.root))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.mkdir(path)


def storage_of_ray(folder: Files) -> tuple[Any, str]:
    """Return a folder of a store as Ray's `storage_filesystem` and `storage_path`."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    filesystem, path = folder.filesystem()
    return filesystem or PyFileSystem(FSSpecHandler(StoreDisk(folder.root))), path
