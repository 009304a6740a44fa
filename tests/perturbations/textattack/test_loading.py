"""Importing textattack without a network and without side effects."""

import os
import subprocess
import sys

import pytest

from raysweep.errors import UsageError
from raysweep.perturbations.textattack import loading

pytestmark = pytest.mark.slow

IMPORT = """
import logging, os
from raysweep.perturbations.textattack.loading import load_textattack
before = dict(os.environ)
logging.getLogger("raysweep")
load_textattack()
names = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TA_CACHE_DIR", "TFHUB_CACHE_DIR", "WANDB_SILENT", "HF_HUB_OFFLINE")
assert all(os.environ.get(name) == before.get(name) for name in names)
assert not logging.getLogger("raysweep").disabled
from textattack.augmentation import Augmenter
from textattack.transformations import WordSwapQWERTY
print(Augmenter(WordSwapQWERTY()).augment("Return the largest number."))
"""


@pytest.mark.long
def test_a_fresh_interpreter_with_an_empty_home_and_no_network_can_use_textattack_and_keeps_its_environment(tmp_path):
    """In small: `test_what_an_import_sets_is_put_back`. An empty home and no network are shown here alone."""
    pytest.importorskip("nltk", reason="textattack isn't installed")
    env = {**os.environ, "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    for name in ("NLTK_DATA", "HF_HOME", "XDG_CACHE_HOME", "RAYSWEEP_CACHE", "TA_CACHE_DIR"):
        env.pop(name, None)
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['") and "Return the largest number." not in done.stdout
    assert "ownload" not in done.stderr, "nothing is downloaded at import"


def test_what_an_import_sets_is_put_back(monkeypatch):
    monkeypatch.setenv("HF_HOME", "mine")
    monkeypatch.delenv("TA_CACHE_DIR", raising=False)
    with loading._process_restored():
        os.environ.update(HF_HOME="theirs", TA_CACHE_DIR="theirs")
    assert os.environ["HF_HOME"] == "mine" and "TA_CACHE_DIR" not in os.environ


def test_where_textattack_is_missing_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'flair\S+' .*'textattack>=\S+'"):
        loading.require_textattack()


def test_the_cache_goes_to_a_temporary_folder_where_the_usual_one_can_not_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYSWEEP_CACHE", str(tmp_path / "file"))
    folder = loading._cache_folder()
    assert tmp_path not in folder.parents and (folder / loading.INSTALLED_MARK).exists()
    assert len((folder / "nltk/corpora/stopwords/english").read_text().split()) == 127
