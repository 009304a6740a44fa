"""Results as lm-evaluation-harness writes them: its keys, its standard errors, and its own table of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raysweep.metrics.passing import by_problem
from raysweep.records import Result
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.export.scores import higher_is_better
from raysweep.sweep.report.scoring import score

KEYS = {
    "results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "date",
    "transformers_version", "task_hashes", "model_source", "model_name", "model_name_sanitized", "system_instruction",
    "fewshot_as_multiturn",
}  # fmt: skip
"""Keys of lm_eval.result_schema.EvalResults (0.4.13) that a run without a tokenizer, groups and chat template has."""


def test_a_drop_is_perturbed_minus_clean_so_that_higher_is_better():
    assert all(higher_is_better(name) for name in ("drop", "drop_changed", "drop_valid", "drop_level", "pass@1"))
    assert higher_is_better("RD") is False and higher_is_better("rows_changed") is None


@pytest.fixture
def results(swept, tmp_path) -> dict:
    done = export_format(swept, "lm-eval", tmp_path)
    assert [name.split("/")[0] for name in done.files] == ["half.base", "none.base"]
    assert all("/results_20" in name and name.endswith(".json") for name in done.files)
    return {name.split("/")[0]: json.loads((tmp_path / name).read_text()) for name in done.files}


def test_the_keys_are_those_of_lm_evals_schema_and_one_of_raysweeps(results):
    for found in results.values():
        assert found.keys() == KEYS | {"raysweep"}
        tasks = {"humaneval", "humaneval_C1"}
        for key in ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples"):
            assert found[key].keys() == tasks
        clean = {"pass@1,create_test", "pass@1_stderr,create_test", "name", "alias", "sample_len"}
        assert found["results"]["humaneval"].keys() == clean
        assert found["n-samples"]["humaneval"] == {"original": 164, "effective": 6}
        assert found["config"]["limit"] == 6 and found["configs"]["humaneval"]["repeats"] == 2
        assert found["configs"]["humaneval_C1"]["metadata"]["draws"] == 2


def test_values_and_standard_errors_are_those_of_the_problems(swept, results):
    scores = {
        (s.perturbation, s.metric): s.value for s in score(swept).scores if s.model == "half" and s.metric != "RR_2@1"
    }
    found = results["half.base"]["results"]
    for task, perturbation in (("humaneval", "clean"), ("humaneval_C1", "C1")):
        for key, value in found[task].items():
            metric = key.partition(",")[0]
            if "," in key and "_stderr" not in key:
                assert value == scores[perturbation, metric]
    assert found["humaneval_C1"].keys() >= {"RD,create_test", "drop,create_test", "RP_2@1,create_test"}
    assert found["humaneval_C1"]["RD_stderr,create_test"] == "N/A"
    draws = [swept.store.rows(p.results, Result) for p in swept.grid() if (p.model, p.perturbation) == ("half", "C1")]
    rates = np.array([list(by_problem(rows, 1).values()) for rows in draws]).mean(axis=0)
    assert found["humaneval_C1"]["pass@1,create_test"] == pytest.approx(rates.mean()), "the mean over the draws"
    error = rates.std(ddof=1) / np.sqrt(len(rates))
    assert found["humaneval_C1"]["pass@1_stderr,create_test"] == pytest.approx(error) and error > 0


def test_undefined_numbers_are_left_out_with_their_reason(results):
    found = results["none.base"]
    assert found["results"]["humaneval"]["pass@1,create_test"] == 0
    assert "RD,create_test" not in found["results"]["humaneval_C1"]
    assert found["raysweep"]["undefined"]["humaneval_C1"]["RD"] == "the clean score is 0"
    low, high = found["raysweep"]["intervals"]["humaneval"]["pass@1"]
    assert low == 0 < high < 1


def test_lm_evals_own_code_makes_a_table_of_it(results):
    utils = pytest.importorskip("lm_eval.utils", reason="lm-eval is no dependency of raysweep")
    pytest.importorskip("pytablewriter", reason="lm-eval draws tables with it")
    table = utils.make_table(results["half.base"])
    assert "|humaneval_C1|" in table.replace(" ", "") and "create_test" in table
