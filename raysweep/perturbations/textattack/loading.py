"""Imports textattack without a network and without side effects on the process.

Plain ``import textattack`` tries six downloads, fails without nltk's stop words, overwrites HF_HOME and XDG_CACHE_HOME
if TA_CACHE_DIR is set, and disables every existing logger. So it is imported only here: with a cache folder that is
marked as complete, with raysweep's stop words if nltk has none installed, and with environment and loggers restored.

Not covered: resources that single transformations need (WordNet, embeddings, models). ``python -m nltk.downloader
wordnet omw-1.4`` and the hub's cache provide them, once, on a machine with a network.
"""

from __future__ import annotations

import logging.config
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from raysweep.errors import UsageError, install_extra
from raysweep.language.stop_words import STOP_WORDS

INSTALLED_MARK = "post_install_check_3"
"""A file of this name in textattack's cache keeps textattack from downloading when it is imported."""


def require_textattack() -> Path:
    """Return the folder of the installed textattack without importing it; raise UsageError if it isn't installed."""
    spec = find_spec("textattack")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"textattack isn't installed; {install_extra('attack')}")
    return Path(spec.submodule_search_locations[0])


@cache
def load_textattack() -> Any:
    """Return textattack, imported once a process (5 s of CPU, 600 MiB); raise UsageError if that is impossible."""
    if "textattack" in sys.modules:
        return sys.modules["textattack"]
    require_textattack()
    import huggingface_hub.constants  # noqa: F401  # reads HF_HOME now, before it is rewritten
    import transformers  # noqa: F401

    folder = _cache_folder()
    with _process_restored(), patch.object(logging.config, "dictConfig", lambda _: None):
        from nltk import data

        data.path.append(str(folder / "nltk"))  # last, so that an installed list of stop words wins
        os.environ["TA_CACHE_DIR"] = str(folder)
        try:
            import textattack
        except (ImportError, LookupError, OSError, AttributeError) as error:
            raise UsageError(
                f"textattack can't be imported ({type(error).__name__}: {str(error).strip().splitlines()[0]}); "
                f"{install_extra('attack')}"
            ) from error
    logging.getLogger("textattack.shared.utils.install").setLevel(logging.ERROR)  # its warnings are of no use
    return textattack


def _cache_folder() -> Path:
    cache_root = Path(os.environ.get("RAYSWEEP_CACHE") or "~/.cache/raysweep").expanduser().absolute()
    try:
        return _filled(cache_root / "textattack")
    except OSError:
        return _filled(Path(tempfile.mkdtemp(prefix="raysweep-textattack-")))


def _filled(folder: Path) -> Path:
    words = folder / "nltk" / "corpora" / "stopwords" / "english"
    words.parent.mkdir(parents=True, exist_ok=True)
    if not words.exists():
        complete = words.with_name(f".english.{os.getpid()}")  # another process may read it meanwhile
        complete.write_text("\n".join(sorted(STOP_WORDS)) + "\n")
        complete.replace(words)
    (folder / INSTALLED_MARK).touch()
    return folder.resolve()  # nltk refuses to read through links


@contextmanager
def _process_restored() -> Iterator[None]:
    """Restore the environment, and Python's generator, from which a package draws when it is imported."""
    before, drawn = dict(os.environ), random.getstate()
    try:
        yield
    finally:
        random.setstate(drawn)
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
