"""Imports textattack without a network, and leaves the process as it was.

Plain ``import textattack`` tries six downloads, fails without nltk's stop words, overwrites HF_HOME and XDG_CACHE_HOME
where TA_CACHE_DIR is set, and disables every logger there is. So it is imported here only: with stop words of our own
after those that may be installed, with a cache folder of its own that says "installed", and with all of that put back.

Not covered: what single transformations want besides (WordNet, embeddings, models): ``python -m nltk.downloader
wordnet omw-1.4`` and the hub's caches bring it, once, on a machine with a network.
"""

from __future__ import annotations

import logging.config
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from raysweep.errors import UsageError
from raysweep.language.stop_words import STOP_WORDS

INSTALLED_MARK = "post_install_check_3"
"""The file in textattack's cache that keeps it from downloading when it is imported."""


def require_textattack() -> Path:
    """Return the folder of the installed textattack, which is not imported; raise UsageError where there is none."""
    found = find_spec("textattack")
    if found is None or not found.submodule_search_locations:
        raise UsageError("textattack isn't installed; pip install 'raysweep[attack]'")
    return Path(found.submodule_search_locations[0])


@cache
def load_textattack() -> Any:
    """Return the module textattack, imported once a process (some 5 s of CPU, 600 MiB).

    Raises:
        UsageError: it isn't installed, or can't be imported.
    """
    if "textattack" in sys.modules:
        return sys.modules["textattack"]
    require_textattack()
    import huggingface_hub.constants  # noqa: F401  # reads HF_HOME now, before it is rewritten
    import transformers  # noqa: F401
    from nltk import data

    folder = _cache_folder()
    data.path.append(str(folder / "nltk"))  # last: an installed list of stop words wins
    with _environment_put_back(), patch.object(logging.config, "dictConfig", lambda _: None):
        os.environ["TA_CACHE_DIR"] = str(folder)
        try:
            import textattack
        except (ImportError, LookupError, OSError, AttributeError) as error:
            raise UsageError(
                f"textattack can't be imported ({type(error).__name__}: {str(error).strip().splitlines()[0]}); "
                "pip install --upgrade 'raysweep[attack]'"
            ) from error
    logging.getLogger("textattack.shared.utils.install").setLevel(logging.ERROR)  # its warnings tell nothing
    return textattack


def _cache_folder() -> Path:
    """Make textattack's cache folder below $RAYSWEEP_CACHE, or in a temporary folder where that can't be written."""
    cache_root = Path(os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep").expanduser().absolute()
    try:
        return _filled(cache_root / "textattack")
    except OSError:
        return _filled(Path(tempfile.mkdtemp(prefix="raysweep-textattack-")))


def _filled(folder: Path) -> Path:
    words = folder / "nltk" / "corpora" / "stopwords" / "english"
    words.parent.mkdir(parents=True, exist_ok=True)
    if not words.exists():
        whole = words.with_name(f".english.{os.getpid()}")  # another process may read it meanwhile
        whole.write_text("\n".join(sorted(STOP_WORDS)) + "\n")
        whole.replace(words)
    (folder / INSTALLED_MARK).touch()
    return folder.resolve()  # nltk refuses to read through links


@contextmanager
def _environment_put_back() -> Iterator[None]:
    """Give all environment variables their values back when the block ends."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
