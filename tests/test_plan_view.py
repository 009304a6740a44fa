"""What `raysweep plan` tells."""

from __future__ import annotations

from typing import Any

from raysweep.config_file import config_from
from raysweep.plan_view import plan_facts, print_plan
from raysweep.planning import build_plan
from raysweep.storage.store import Store


def small(**more: Any) -> Any:
    models = [{"name": "reference", "generator": "reference"}]
    value = {"name": "s", "models": models, "evaluation": {"problems": ["humaneval"]}, **more}
    return build_plan(config_from(value, "test"))


def test_a_plan_of_one_cell_is_told_in_the_singular(capsys, tmp_path):
    print_plan(plan_facts(small(), Store(tmp_path)), as_json=False)
    assert "1 cell, 1 evaluation pair (rule: all); 1 cell to do" in capsys.readouterr().out


def test_what_this_machine_can_not_hold_is_said_and_the_plan_still_shown(capsys, tmp_path):
    facts = plan_facts(small(resources={"cpus": 4000}), Store(tmp_path))
    print_plan(facts, as_json=False)
    out = capsys.readouterr().out
    assert "not on this machine: a cell can never be scheduled: it asks for 4000 CPU" in out and "1 cell to do" in out
    assert plan_facts(small(), Store(tmp_path)).here == ""


def test_how_programs_will_be_run_is_told(capsys, tmp_path):
    facts = plan_facts(small(execution={"lane": "strict", "require": "limits", "timeout": 2.5}), Store(tmp_path))
    print_plan(facts, as_json=False)
    assert "programs: strict lane, isolation limits or better; time limits: humaneval 2.5 s" in capsys.readouterr().out
