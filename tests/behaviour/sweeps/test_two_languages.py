"""A sweep over problems in Java and C++: killed half-way it ends as an undisturbed one, with Ray as without.

In small: tests/behaviour/chaos/test_one_kill.py kills a sweep, tests/execution/compiled/test_judging.py judges programs
in both languages, and tests/analysis/exhibits/test_languages.py draws their table.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from raysweep.programs import COMPILED
from tests.behaviour.chaos.evidence import places
from tests.behaviour.chaos.processes import ProcessTree, Victim
from tests.behaviour.sweeps.commands import finished, start
from tests.execution.compiled.problems import rows
from tests.execution.compiled.processes import needs
from tests.paths import NANO
from tests.patience import PATIENCE, eventually
from tests.storage.stores import committed

pytestmark = [pytest.mark.ray, pytest.mark.long]
PROBLEMS = 4
TRAINING = {"java": 12, "cpp": 4}
"""Rows of training sets, whose shares of the languages the exhibit `languages` shows."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a sweep: a tiny model that knows nothing, and one that solves half of the problems."""
    needs(*COMPILED)
    folder = tmp_path_factory.mktemp("two-languages")
    training = []
    for language in COMPILED:
        published = rows(language)
        _write(folder / f"{language}.jsonl", published[:PROBLEMS])
        short = sorted(published[PROBLEMS:], key=lambda row: len(row["canonical_solution"]))[: TRAINING[language]]
        training += [_training_row(language, row["canonical_solution"]) for row in short]
    _write(folder / "rows.jsonl", training)
    document = yaml.safe_load(NANO.read_text())
    (llama,) = document["models"]
    llama["pretrain"]["source"] = source = {"name": "jsonl", "path": "rows.jsonl"}
    document["models"].append({"name": "solver", "generator": {"name": "fake", "share": 0.5}})
    document["training"] = {"source": source, "sets": ["clean", "C1"]}
    document["recipes"]["tiny"] |= {"batch_size": 4, "max_tokens": 384}
    document["evaluation"]["problems"] = [
        {"name": "humaneval-x", "as": language, "path": f"{language}.jsonl"} for language in COMPILED
    ]
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    return folder / "config.yaml"


@pytest.fixture(scope="module")
def undisturbed(config: Path, temporary: str) -> Path:
    """The store of the sweep without Ray, in peace."""
    store = config.parent / "undisturbed"
    done = finished(start(config, store, temporary, "--engine", "local"))
    assert done.returncode == 0, done.stderr
    return store


def test_a_sweep_that_is_killed_while_it_judges_ends_as_an_undisturbed_one(config, undisturbed, temporary):
    store, tree = config.parent / "killed", ProcessTree()
    command = start(config, store, temporary)
    tree.add_root(command.pid, Victim.DRIVER)

    def is_judging() -> bool:
        tree.look()
        assert command.poll() is None, command.communicate()
        return any(place.stage == "executing" for place in places(store, "nano").values())

    assert eventually(is_judging)
    command.kill()
    command.communicate()
    again = start(config, store, temporary)
    tree.add_root(again.pid, Victim.DRIVER)
    done = finished(again)
    assert done.returncode == 0, done.stderr
    assert "the others are kept" in done.stderr
    contents = [{name: one.content for name, one in committed(root).items()} for root in (store, undisturbed)]
    assert contents[0] == contents[1]
    assert tree.leftovers(PATIENCE) == []


def test_scores_stand_by_language_beside_its_share_of_the_training_rows(undisturbed):
    (table,) = (undisturbed / "sweeps" / "nano" / "tables").glob("languages-*.csv")
    lines = list(csv.DictReader(table.read_text().splitlines()))
    shares = {(line["language"], line["training set"]): line["rows (%)"] for line in lines}
    wanted = {"Java": 75.0, "C++": 25.0}
    assert {key: float(share) for key, share in shares.items() if share} == {
        (language, training_set): share for language, share in wanted.items() for training_set in ("clean", "C1")
    }
    solved = {line["language"]: float(line["clean pass@1 (%)"]) for line in lines if line["model"] == "solver"}
    assert set(solved) == set(wanted) and all(0 < share < 100 for share in solved.values())


def _training_row(language: str, solution: str) -> dict[str, str]:
    return {"instruction": f"Write it in {language}.", "output": f"```{language}\n{solution}\n```"}


def _write(path: Path, values: list[dict[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
