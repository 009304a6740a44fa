"""A part of configs/evidence-mini.yaml: the numbers of its tables again, in plain pandas from the results' files."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

import raysweep
from raysweep.config.loading import load_config
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from tests.paths import CONFIGS

pytestmark = pytest.mark.slow

PERTURBED = ("C1", "mix_all", "half", "twice")
CELL = ["model", "recipe", "training_set", "seed"]
PART = (
    "training.sets=[clean, C1, mix_all, {name: half, perturbation: mix_all, ratio: 0.5}, "
    "{name: twice, perturbation: mix_all, ratio: 0.5, size: 2.0}]",
    "evaluation.perturbations=[clean, C1, C2, mix_all]",
    *(f"evaluation.problems.{number}.count=5" for number in (0, 1)),
    *(f"models.{number}.pretrain.source.rows=4000" for number in (0, 1)),
    "recipes.pretrain.steps=160",
    "models.1.pretrain.family=llama",  # gpt_bigcode would solve nothing so early, and have no RD
    "models.1.pretrain.size={initializer_range: 0.06, num_hidden_layers: 3}",
    "training.source.rows=16",
    "evaluation.max_new_tokens=40",
    "language.translator=none",
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    storage = str(tmp_path_factory.mktemp("store"))
    assert not run_sweep(load_config(CONFIGS / "evidence-mini.yaml", PART), RunOptions(storage, "local")).errors
    return storage


@pytest.fixture(scope="module")
def verdicts(storage) -> pandas.DataFrame:
    """Each completion's verdict, from the Parquet files of the store."""
    folder = SweepFolder(Store(storage), "evidence-mini")
    frames = []
    for row in folder.grid():
        frame = pandas.read_parquet(folder.store.use(row.results) / "rows.parquet")
        names = {name: getattr(row, name) for name in (*CELL, "problem_set", "perturbation")}
        frames.append(frame[["task_id", "sample", "outcome"]].assign(**names))
    found = pandas.concat(frames)
    assert not (found.outcome == "harness_error").any()
    found = found.assign(passed=found.outcome == "passed")
    assert 0.05 < found.passed.mean() < 0.95  # numbers that are all 0 would be right by chance
    return found


@pytest.fixture(scope="module")
def rates(verdicts) -> pandas.Series:
    """pass@1 by cell, problem set and perturbation."""
    by_problem = verdicts.groupby([*CELL, "problem_set", "perturbation", "task_id"]).passed.mean()
    return by_problem.groupby([*CELL, "problem_set", "perturbation"]).mean()


def table(storage: str, name: str) -> pandas.DataFrame:
    return pandas.read_csv(f"{storage}/sweeps/evidence-mini/tables/{name}.csv")


def loss(clean: float, perturbed: float) -> float:
    return (clean - perturbed) / clean if clean else math.nan


def same(found: float, wanted: float) -> bool:
    return (math.isnan(found) and math.isnan(wanted)) or found == pytest.approx(wanted, abs=1e-9)


def test_the_scores_are_those_of_a_plain_count(storage, verdicts, rates):
    scores = raysweep.load_results("evidence-mini", storage)
    of_levels = ("RD_level", "pass@1_level", "drop_level")
    checked = dict.fromkeys(("pass@1", "RD", "drop", "flips_lost", "flips_won", *of_levels), 0)
    keyed = verdicts.set_index([*CELL, "problem_set", "perturbation", "task_id", "sample"]).passed.sort_index()
    for score in scores.itertuples():
        cell = (score.model, score.recipe, score.training_set, score.seed, score.problem_set)
        if score.metric == "pass@1":
            wanted = rates[(*cell, score.perturbation)]
        elif score.metric in ("RD", "drop", *of_levels):
            methods = ["C1", "C2"] if score.metric.endswith("level") and score.perturbation == "C" else None
            if score.metric.endswith("level") and methods is None:
                continue
            clean = rates[(*cell, "clean")]
            perturbed = sum(rates[(*cell, name)] for name in methods or [score.perturbation]) / len(methods or [1])
            found = {"RD": loss(clean, perturbed), "pass@1": perturbed, "drop": perturbed - clean}
            wanted = found[score.metric.removesuffix("_level")]
        elif score.metric in ("flips_lost", "flips_won"):
            pairs = pandas.DataFrame({"clean": keyed[(*cell, "clean")], "other": keyed[(*cell, score.perturbation)]})
            first, second = (pairs.clean, pairs.other) if score.metric == "flips_lost" else (pairs.other, pairs.clean)
            wanted = (first & ~second).groupby(level=0).mean().mean()
        else:
            continue
        checked[score.metric] += 1
        assert same(score.value, wanted), score
    assert all(checked.values()), checked


def test_differences_to_baselines_are_those_of_a_plain_count(storage, rates):
    found = raysweep.load_differences("evidence-mini", storage)
    checked = 0
    for one in found[found.metric.isin(["pass@1_difference", "RD_change"])].itertuples():
        recipe = "none" if one.against == "base" else one.recipe
        seeds = rates.xs((one.model, recipe, one.against), level=("model", "recipe", "training_set"))
        baseline = seeds.droplevel("seed")[one.problem_set]
        own = rates[(one.model, one.recipe, one.training_set, one.seed, one.problem_set)]
        if one.metric == "pass@1_difference":
            wanted = own[one.perturbation] - baseline[one.perturbation]
        else:
            wanted = loss(own["clean"], own[one.perturbation]) - loss(baseline["clean"], baseline[one.perturbation])
        assert same(one.value, wanted), one
        checked += 1
    assert checked > 40


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_the_studys_tables_have_these_numbers(storage, rates, problems):
    by_name = rates.droplevel(["recipe", "seed"]).xs(problems, level="problem_set")
    clean = table(storage, f"table-2-{problems}").set_index("model")
    perturbed = table(storage, f"table-3-{problems}").set_index("model")
    rd = table(storage, f"table-4-{problems}").set_index(["model", "quantity"])
    for model in ("llama", "gpt_bigcode"):
        for training_set in ("base", "clean", "mix_all"):
            before, after = by_name[model, training_set, "clean"], by_name[model, training_set, "mix_all"]
            assert same(clean.loc[model, training_set], 100 * before)
            assert same(perturbed.loc[model, training_set], 100 * after)
            assert same(rd.loc[(model, "pass@1 (%)"), training_set], 100 * after)
            assert same(rd.loc[(model, "RD (%)"), training_set], 100 * loss(before, after))
            assert same(rd.loc[(model, "difference (points)"), training_set], 100 * (after - before))
    for training_set in ("base", "clean", "mix_all"):
        assert same(clean.loc["mean", training_set], 100 * by_name[:, training_set, "clean"].mean())
        assert same(perturbed.loc["mean", training_set], 100 * by_name[:, training_set, "mix_all"].mean())


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_signed_ranks_of_tables_5_6_and_9_are_those_of_all_patterns_of_signs(storage, rates, problems):
    by_name = rates.droplevel(["recipe", "seed"]).xs(problems, level="problem_set")
    found = {
        (model, name): 100 * loss(by_name[model, name, "clean"], by_name[model, name, "mix_all"])
        for model in ("llama", "gpt_bigcode")
        for name in ("clean", "mix_all")
    }
    for size in (False, True):
        both = {key: abs(value) if size else value for key, value in found.items()}
        differences = [both[model, "mix_all"] - both[model, "clean"] for model in ("llama", "gpt_bigcode")]
        assert not any(map(math.isnan, differences))
        for number in (5, 6, 9):
            name = f"table-{number}-size-{problems}" if size else f"table-{number}-{problems}"
            (line,) = table(storage, name).to_dict("records")
            nonzero = [value for value in differences if value]
            if not nonzero:
                assert line["p"] == 1
                continue
            assert line["n"] == len(nonzero)
            assert line["estimate"] == pytest.approx(sum(nonzero) / len(nonzero), abs=1e-9)
            statistic, p = by_all_patterns(nonzero)
            assert line["W"] == statistic
            if line["method"] == "exact":
                assert line["p"] == pytest.approx(p) and line["p (Holm)"] == pytest.approx(p)


def by_all_patterns(differences: list[float]) -> tuple[float, float]:
    """W and the two-sided p of the signed-rank test, counted over all patterns of signs."""
    values = pandas.Series(differences)
    ranks = values.abs().rank()
    total = ranks.sum()

    def smaller(signs: list[bool]) -> float:
        positive = sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        return min(positive, total - positive)

    statistic = smaller(list(values > 0))
    patterns = list(itertools.product([False, True], repeat=len(values)))
    return statistic, sum(smaller(list(signs)) <= statistic for signs in patterns) / len(patterns)


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_each_models_tables_by_test_set_have_these_numbers(storage, rates, problems):
    by_name = rates.droplevel(["recipe", "seed"]).xs(problems, level="problem_set")
    counted = 0
    for model in ("llama", "gpt_bigcode"):
        for name in ("table-7", "table-8", "table-10", "table-11"):
            for line in table(storage, f"{name}-{model.replace('_', '-')}-{problems}").to_dict("records"):
                quantity = line.get("quantity", "pass@1 (%)")
                for training_set in {"base", "clean", "C1", "mix_all"} & set(line):
                    before, after = (by_name[model, training_set, test] for test in ("clean", line["test prompts"]))
                    wanted = {"pass@1 (%)": after, "RD (%)": loss(before, after), "difference (points)": after - before}
                    assert same(line[training_set], 100 * wanted[quantity]), (name, line)
                    counted += 1
    assert counted > 40


def test_the_trade_off_has_these_numbers_and_nothing_beats_its_models(storage, rates):
    by_name = rates.droplevel(["recipe", "seed"]).xs("mini-mbpp", level="problem_set")
    keys = [(model, training_set) for model, training_set, test in by_name.index if test == "mix_all"]
    both = {key: (by_name[(*key, "clean")], by_name[(*key, "mix_all")]) for key in keys}
    points = {key: (100 * clean, abs(100 * loss(clean, other))) for key, (clean, other) in both.items() if clean}
    shown = {
        (line["model"], line["training set"]): (line["clean pass@1 (%)"], abs(line["RD (%)"]))
        for line in table(storage, "trade-off-mini-mbpp").to_dict("records")
    }
    for key, point in shown.items():
        assert point == pytest.approx(points[key])
        assert not any(x >= point[0] and y < point[1] - 1e-9 for x, y in points.values() if x > point[0] - 1e-9)


def test_the_curves_and_the_choice_have_these_numbers(storage, rates):
    by_name = rates.droplevel(["recipe", "seed"])
    curve = table(storage, "figure-3-mini-mbpp").set_index(["model", "test prompts", "quantity"])
    shares = {"0 %": "clean", "50 %": "half", "100 %": "mix_all"}
    for model in ("llama", "gpt_bigcode"):
        for share, training_set in shares.items():
            column = f"perturbed rows {share}"
            wanted = 100 * by_name[model, training_set, "mini-mbpp", "mix_all"]
            assert same(curve.loc[(model, "mix_all", "pass@1 (%)"), column], wanted)
    losses = table(storage, "figure-4-mini-mbpp").set_index(["model", "quantity"])
    sizes, size_losses = (table(storage, f"figure-{number}-mini-mbpp") for number in (5, 6))
    sizes, size_losses = (
        sizes.set_index(["model", "test prompts", "quantity"]),
        size_losses.set_index(["model", "quantity"]),
    )
    for model in ("llama", "gpt_bigcode"):
        for shown, heading, settings in (
            (losses, "perturbed rows", shares),
            (size_losses, "rows, as a multiple of the source's", {"×1": "half", "×2": "twice"}),
        ):
            for label, training_set in settings.items():
                before, after = (by_name[model, training_set, "mini-mbpp", test] for test in ("clean", "mix_all"))
                assert same(shown.loc[(model, "RD (%)"), f"{heading} {label}"], 100 * loss(before, after))
        for label, training_set in (("×1", "half"), ("×2", "twice")):
            for test in ("clean", "mix_all"):
                number = sizes.loc[(model, test, "pass@1 (%)"), f"rows, as a multiple of the source's {label}"]
                assert same(number, 100 * by_name[model, training_set, "mini-mbpp", test])
    choice = table(storage, "choice-mini-mbpp")
    wanted = by_name.xs(("mini-mbpp", "mix_all"), level=("problem_set", "perturbation"))
    shown = {(model, name): score / 100 for model, name, score in choice.iloc[:, :3].itertuples(index=False)}
    assert shown == pytest.approx({key: wanted[key] for key in shown}) and choice["pass@1 (%)"].is_monotonic_decreasing
    assert choice["pass@1 (%)"].iloc[0] == pytest.approx(100 * wanted.max())


@pytest.mark.parametrize(
    ("number", "columns"),
    [
        (14, {"base": ["base"], "clean": ["clean"], "mix_all": ["mix_all"], "perturbed": [*PERTURBED]}),
        (15, {"0 %": ["clean"], "50 %": ["half"], "100 %": ["mix_all"]}),
        (16, {"×1": ["half"], "×2": ["twice"]}),
    ],
)
def test_tables_of_code_quality_are_those_of_a_plain_count(storage, number, columns):
    files = raysweep.load_quality("evidence-mini", storage)
    messages = raysweep.load_quality("evidence-mini", storage, messages=True).query("linter == 'pylint'")
    checked = 0
    for problems in ("mini-humaneval", "mini-mbpp"):
        for line in table(storage, f"table-{number}-{problems}").to_dict("records"):
            for column, training_sets in columns.items():
                own, said = (
                    one[(one.problem_set == problems) & one.training_set.isin(training_sets)]
                    for one in (files, messages)
                )
                if line["model"] != "all models":
                    own, said = own[own.model == line["model"]], said[said.model == line["model"]]
                linted = (own.outcome == "linted").sum()
                wanted = {"files": len(own), "mean score": own.score.mean()}
                count = 100 * (said.code == line["code"]).sum() / linted if linted else math.nan
                assert same(line[column], wanted.get(line["code"], count)), (line, column)
                checked += 1
    assert checked > 20


def test_scores_of_code_quality_and_figure_7_are_those_of_a_plain_count(storage):
    files = raysweep.load_quality("evidence-mini", storage)
    severities = ("fatal", "error", "warning", "refactor", "convention", "information")
    without = []
    for problems in ("mini-humaneval", "mini-mbpp"):
        groups = {"base": ["base"], "clean": ["clean"], "mix_all": ["mix_all"], "perturbed": [*PERTURBED]}
        for line in table(storage, f"code-quality-on-{problems}").to_dict("records"):
            own = files[files.problem_set == problems]
            own = own if line["model"] == "all models" else own[own.model == line["model"]]
            sets = {**groups, "all fine-tuned": ["clean", *PERTURBED]}
            own = own[own.training_set.isin(sets.get(line["training set"], [line["training set"]]))]
            linted = own[own.outcome == "linted"]
            assert (line["files"], line["no score"]) == (len(own), own.score.isna().sum())
            assert same(line["mean score"], own.score.mean())
            columns = {**{name: name for name in severities}, "by cutting": "caused_by_cutting"}
            for shown, column in columns.items():
                wanted = 100 * linted[column].sum() / len(linted) if len(linted) else math.nan
                assert same(line[f"messages per 100 files {shown}"], wanted), (line, shown)
        for model in ("all models", "llama", "gpt_bigcode"):
            own = files[(files.problem_set == problems) & files.model.isin([model] if model[0] != "a" else files.model)]
            parts = [own[own.training_set.isin(names)] for names in groups.values()]
            without += [f"{part.score.isna().sum()} of {len(part)}" for part in parts if len(part)]
    drawn = Path(storage, "sweeps", "evidence-mini", "figures", "figure-7.svg").read_text()
    assert re.findall(r">(\d+ of \d+)<", drawn) == without


def test_intervals_of_whole_verdicts_are_wilsons(storage, verdicts):
    from statsmodels.stats.proportion import proportion_confint

    scores = raysweep.load_results("evidence-mini", storage)
    shares = verdicts.groupby([*CELL, "problem_set", "perturbation", "task_id"]).passed.mean()
    checked = 0
    for score in scores[scores.metric == "pass@1"].itertuples():
        own = shares[(*score[1:5], score.problem_set, score.perturbation)]
        if own.isin([0, 1]).all():
            wanted = proportion_confint(int(own.sum()), len(own), method="wilson")
            assert (score.low, score.high) == pytest.approx(wanted, abs=1e-6)
            checked += 1
    assert checked > 10


def test_signed_ranks_and_pass_at_k_agree_with_scipy_and_the_formula(storage, verdicts):
    from scipy.stats import wilcoxon

    tests = table(storage, "tests-in-text-mini-mbpp").set_index("quantity")
    scores = raysweep.load_results("evidence-mini", storage)
    own = scores[(scores.problem_set == "mini-mbpp") & (scores.perturbation == "clean") & (scores.metric == "pass@1")]
    base = own[own.training_set == "base"].set_index("model").value
    tuned = own[own.training_set.isin(["clean", "mix_all"])]
    differences = tuned.value.to_numpy() - base[tuned.model].to_numpy()
    if any(differences):
        assert tests.loc["clean pass@1", "W"] == wilcoxon(differences).statistic
    n, c = 7, 3
    assert raysweep.metrics.pass_at_k(n, c, 2) == pytest.approx(1 - comb(n - c, 2) / comb(n, 2))
    assert not verdicts.duplicated(["task_id", "sample", *CELL, "problem_set", "perturbation"]).any()


def test_intervals_of_differences_and_rd_are_those_of_a_plain_bootstrap(storage, verdicts):
    """Where each problem's verdicts agree: Dirichlet weights, and half a problem more for each pair of verdicts.

    Other random numbers than the sweep's give other ends, so each end is looked up among resamples drawn here.
    """
    shares = verdicts.groupby([*CELL, "problem_set", "perturbation", "task_id"]).passed.mean()
    whole = shares.groupby([*CELL, "problem_set", "perturbation"]).agg(lambda own: own.isin([0, 1]).all())
    problems, corners = 5, numpy.array([(1, 1), (1, 0), (0, 1), (0, 0)])
    weights = numpy.random.default_rng(7).dirichlet([1.0] * problems + [0.5] * len(corners), 40_000)

    def check(one: Any, keys: list[tuple[Any, ...]], statistic: Callable[[Any, Any], Any]) -> bool:
        if not all(whole[key] for key in keys) or math.isnan(one.low):
            return False
        values = numpy.concatenate([numpy.stack([shares[key].sort_index() for key in keys], axis=1), corners])
        found = statistic(*(weights @ values).T)
        for end, share in ((one.low, 0.025), (one.high, 0.975)):
            if end != pytest.approx(one.value, abs=1e-12):  # an interval contains the number itself
                assert (found < end).mean() == pytest.approx(share, abs=0.012), one
        return True

    differences = raysweep.load_differences("evidence-mini", storage)
    checked = 0
    for one in differences[differences.metric == "pass@1_difference"].itertuples():
        recipe = "none" if one.against == "base" else one.recipe
        seed = shares[one.model, recipe, one.against].index[0][0]
        cells = [(one.model, recipe, one.against, seed), (one.model, one.recipe, one.training_set, one.seed)]
        keys = [(*cell, one.problem_set, one.perturbation) for cell in cells]
        checked += check(one, keys, lambda baseline, own: own - baseline)
    assert checked > 10
    scores, checked = raysweep.load_results("evidence-mini", storage), 0
    for one in scores[(scores.metric == "RD") & (scores.perturbation != "clean")].itertuples():
        cell = (one.model, one.recipe, one.training_set, one.seed, one.problem_set)
        keys = [(*cell, test) for test in ("clean", one.perturbation)]
        checked += check(one, keys, lambda clean, perturbed: (clean - perturbed) / clean)
    assert checked > 5
