"""Measures the speed of perturbing: each method and textattack's Augmenter, tagging, the study's training sets.

    python benchmarks/perturbations.py methods                texts per second, one core, same texts, one run
    python benchmarks/perturbations.py sets EVOL.json.gz...   the 31 perturbed training sets without single S1
    python benchmarks/perturbations.py translation            S1's texts per second

Install textattack into a separate environment that sees raysweep's packages:
    python -m venv /tmp/benchta     (with .venv's site-packages in a .pth file there)
    /tmp/benchta/bin/pip install textattack
    then run `methods` with PYTHONPATH=. /tmp/benchta/bin/python
Without textattack only raysweep is measured, and the reason is printed. Its WordNet comes from Debian's wordnet-base.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from raysweep.perturbations.base import PERTURBATIONS
from raysweep.perturbations.batches import Text
from raysweep.problems.humaneval import HumanEval
from raysweep.records import Segment, Spec

NO_WORDS: frozenset[str] = frozenset()
NEAREST = {
    "C1": "WordSwapQWERTY",
    "C2": "WordSwapNeighboringCharacterSwap",
    "W1": "WordInsertionRandomSynonym",
    "W2": "WordSwapWordNet",
}
"""textattack's nearest transformations. C3, S2 and S3 have none; those of W3 and S1 need models from the hub."""
NOMINAL = 30_087


def docstrings() -> list[str]:
    """Return the natural language of HumanEval's docstrings."""
    problems = HumanEval()
    texts = ["".join(s.text for s in problems.segments(p) if s.natural) for p in problems.problems()]
    return [" ".join(text.split()) for text in texts]


def methods() -> None:
    """Print texts per second of each method, cold and warm, and of textattack's nearest transformation."""
    from raysweep.language import tokens

    texts = docstrings()
    words = sum(len(text.split()) for text in texts)
    print(f"{len(texts)} texts, {words} words; one core")
    tokens.tagged_sentences((Segment("Load the model.", True),), "hanta")
    tokens.tagged_sentences.cache_clear()
    took = cpu(lambda: [tokens.tagged_sentences((Segment(text, True),), "hanta") for text in texts])
    tagged = sum(len(s) for text in texts for s in tokens.tagged_sentences((Segment(text, True),), "hanta"))
    print(f"tagging, cold: {words / took:,.0f} words ({tagged / took:,.0f} tokens) per second")
    peers = peer_rates(texts[:40])
    print("method  cold/s  warm/s  textattack/s  cold ratio  warm ratio")
    for name in ("C1", "C2", "C3", "W1", "W2", "W3", "S2", "S3"):
        method = PERTURBATIONS.create(Spec(name))
        perturb(method, ["Warm the tables of words up."])
        tokens.tagged_sentences.cache_clear()
        cold = len(texts) / cpu(lambda method=method: perturb(method, texts))
        warm = 10 * len(texts) / cpu(lambda method=method: [perturb(method, texts) for _ in range(10)])
        peer = peers.get(name)
        ratios = f"{peer:12.1f}  {cold / peer:9.0f}x  {warm / peer:9.0f}x" if peer else f"{'-':>12}"
        print(f"{name:6} {cold:8,.0f} {warm:8,.0f}  {ratios}")


def perturb(method: object, texts: Sequence[str]) -> None:
    """Perturb texts, each with its own random generator."""
    for index, text in enumerate(texts):
        method.perturb([Segment(text, True)], random.Random(index), NO_WORDS)


def cpu(work: Callable[[], object]) -> float:
    """Run `work` and return its CPU seconds in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def peer_rates(texts: Sequence[str]) -> dict[str, float]:
    """Return texts per second of textattack's Augmenter with its usual constraints, for 10 % of the words."""
    folder = Path(tempfile.mkdtemp(prefix="rs-nltk-"))
    try:
        nltk_data(folder)
        os.environ |= {"NLTK_DATA": str(folder), "TA_CACHE_DIR": str(folder / "ta"), "HF_HUB_OFFLINE": "1"}
        (folder / "ta").mkdir()
        (folder / "ta/post_install_check_3").touch()
        from textattack import transformations
        from textattack.augmentation import Augmenter
        from textattack.constraints.pre_transformation import RepeatModification, StopwordModification

        rates = {}
        for name, theirs in NEAREST.items():
            constraints = [RepeatModification(), StopwordModification()]
            augmenter = Augmenter(getattr(transformations, theirs)(), constraints, pct_words_to_swap=0.1)
            augmenter.augment("Warm the tables of words up.")
            rates[name] = len(texts) / cpu(lambda augmenter=augmenter: [augmenter.augment(text) for text in texts])
        return rates
    except (ImportError, OSError, LookupError) as error:
        print(f"textattack is left out: {error}")
        return {}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def nltk_data(folder: Path) -> None:
    """Write the nltk data that textattack needs: stop words, and WordNet from Debian's files."""
    from raysweep.language.stop_words import STOP_WORDS
    from raysweep.language.synonyms.wordnet_table import DEBIAN

    (folder / "corpora/stopwords").mkdir(parents=True)
    (folder / "corpora/stopwords/english").write_text("\n".join(sorted(STOP_WORDS)))
    (folder / "corpora/omw-2.0").mkdir()
    (folder / "corpora/omw-1.4").mkdir()
    shutil.copytree(DEBIAN, folder / "corpora/wordnet")
    (folder / "corpora/wordnet/index.sense").touch()
    names = "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body"
    names += " noun.cognition noun.communication noun.event noun.feeling noun.food noun.group noun.location"
    names += " noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession noun.process"
    names += " noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change"
    names += " verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation"
    names += " verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather adj.ppl"
    kinds = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}
    lines = [f"{number:02}\t{name}\t{kinds[name.partition('.')[0]]}" for number, name in enumerate(names.split())]
    (folder / "corpora/wordnet/lexnames").write_text("\n".join(lines) + "\n")


def sets(files: Sequence[str]) -> None:
    """Build the study's 31 perturbed training sets without single S1 on two cores, in an empty store."""
    from raysweep.config.loading import config_from
    from raysweep.sweep.data_sets import make_data_sets
    from raysweep.sweep.tasks import RunOptions

    folder = Path(tempfile.mkdtemp(prefix="rs-sets-"))
    rows = [row for file in files for row in json.loads(gzip.decompress(Path(file).read_bytes()))]
    with (folder / "rows.jsonl").open("w") as out:
        for index in range(NOMINAL):
            out.write(json.dumps(rows[index % len(rows)]) + "\n")
    single = [*["C1", "C2", "C3", "W1", "W2", "W3", "S2", "S3", "C", "W", "S", "mix_all"]]
    shares = [
        {"name": f"mix{ratio}-{draw}", "perturbation": "mix_all", "ratio": ratio / 100, "draw": draw}
        for ratio in (10, 30, 50, 70, 90)
        for draw in (1, 2, 3)
    ]
    sizes = [
        {"name": f"mix60-x{size}", "perturbation": "mix_all", "ratio": 0.6, "size": size}
        for size in (0.25, 0.5, 2.0, 3.0)
    ]
    source = {"name": "jsonl", "path": str(folder / "rows.jsonl")}
    config = config_from(
        {
            "name": "sets",
            "models": [{"name": "none", "generator": "reference"}],
            "training": {
                "source": source,
                "sets": single + shares + sizes,
            },
            "evaluation": {"problems": ["humaneval"]},
            "language": {"translator": "none"},
            "ray": {"cpus": 2, "dashboard": False},
        },
        "benchmark",
    )
    peak = Peak()
    began = time.monotonic()
    result = make_data_sets(config, RunOptions(str(folder / "store")))
    took = time.monotonic() - began
    training = [one for one in result.sets if one.name.startswith("training-")]
    print(f"{len(training)} sets, {sum(one.rows for one in training):,} rows, errors: {dict(result.errors)}")
    print(f"{took:.0f} s, peak memory of the process tree {peak.stop() / 2**30:.2f} GiB (PSS)")
    shutil.rmtree(folder, ignore_errors=True)


class Peak:
    """Samples the memory (PSS) of this process and its descendants twice a second and keeps the peak."""

    def __init__(self) -> None:
        self.peak, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(0.5):
            here = psutil.Process()
            total = 0
            for process in [here, *here.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)

    def stop(self) -> int:
        """Stop sampling and return the peak in bytes."""
        self._stop.set()
        self._thread.join()
        return self.peak


def translation() -> None:
    """Print texts per second of S1 with the translator that is installed here."""
    texts = docstrings()
    method = PERTURBATIONS.create(Spec("S1"))
    began = time.monotonic()
    perturbed = method.perturb_all([Text([Segment(text, True)], random.Random(0), NO_WORDS) for text in texts])
    took = time.monotonic() - began
    changed = sum("".join(s.text for s in segments) != text for segments, text in zip(perturbed, texts, strict=True))
    rate = f"{len(texts) / took:.0f} texts per second"
    print(f"{method.fingerprint()['translator']}: {rate}, {changed} of {len(texts)} changed")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["methods"]:
            methods()
        case ["sets", *given] if given:
            sets(given)
        case ["translation"]:
            translation()
        case _:
            sys.exit(__doc__)
