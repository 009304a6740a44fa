"""A part of configs/evidence-mini.yaml: the numbers of its tables again, in plain pandas from the results' files."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from scipy.stats import friedmanchisquare

import raysweep
from raysweep.config.loading import load_config
from raysweep.stats.bootstrap import RESAMPLES
from raysweep.storage.store import Store
from raysweep.sweep.folder import SweepFolder, open_folder
from raysweep.sweep.report.write import export
from raysweep.sweep.run import run_sweep
from raysweep.sweep.tasks import RunOptions
from raysweep.units import decimal
from tests.paths import CONFIGS

pytestmark = pytest.mark.slow

LEFT_OUT = ["table-5", "table-6", "table-7", "table-8", "table-9", "tests-in-text"]
"""Tables that the report of so few models and mixes has only where they are asked for by name."""
PERTURBED = ("C1", "mix_all", "half", "twice")
CELL = ["model", "recipe", "training_set", "seed"]
PART = (
    "training.sets=[clean, C1, mix_all, {name: half, perturbation: mix_all, ratio: 0.5}, "
    "{name: twice, perturbation: mix_all, ratio: 0.5, size: 2.0}]",
    "evaluation.perturbations=[clean, C1, C2, C3, mix_all]",
    *(f"evaluation.problems.{number}.count=5" for number in (0, 1)),
    "training.source.rows=16",
    "recipes={full: {trainer: steady, batch_size: 8}, lora: {trainer: steady, batch_size: 4}}",
    "language.translator=none",
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory, plugin_parts) -> str:
    """Where the sweep's results are; its models answer at random, mostly the same in both samples."""
    from raysweep_extra.steady import make_base

    folder, generator = tmp_path_factory.mktemp("evidence"), "{name: steady, apart: 0.1}"
    models = [
        f"{{name: {name}, path: {make_base(folder / name, name).location}, generator: {generator}, template: raw, "
        f"recipes: [{recipe}]}}"
        for name, recipe in (("llama", "full"), ("gpt_bigcode", "lora"))
    ]
    config = load_config(CONFIGS / "evidence-mini.yaml", (*PART, f"models=[{', '.join(models)}]"))
    assert not run_sweep(config, RunOptions(str(folder / "store"), "local")).errors
    export(open_folder("evidence-mini", str(folder / "store")), "csv", folder / "asked", only=LEFT_OUT)
    return str(folder / "store")


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
    made = Path(storage, "sweeps", "evidence-mini", "tables", f"{name}.csv")
    return pandas.read_csv(made if made.exists() else Path(storage).parent / "asked" / made.name)


def loss(clean: float, perturbed: float) -> float:
    return (clean - perturbed) / clean if clean else math.nan


def same(found: float, wanted: float) -> bool:
    return (math.isnan(found) and math.isnan(wanted)) or found == pytest.approx(wanted, abs=1e-9)


def by_chance(share: float) -> float:
    """Return how far a share of the sweep's resamples may be from the true one: 4.5 standard errors."""
    return 4.5 * math.sqrt(share * (1 - share) / RESAMPLES) + 1 / RESAMPLES


def test_the_scores_are_those_of_a_plain_count(storage, verdicts, rates):
    scores = raysweep.load_results("evidence-mini", storage)
    of_levels = ("RD_level", "pass@1_level", "drop_level")
    flips = ("flips_lost", "flips_won", "flip_rate_lost", "flip_rate_won")
    checked = dict.fromkeys(("pass@1", "RD", "drop", *flips, *of_levels), 0)
    keyed = verdicts.set_index([*CELL, "problem_set", "perturbation", "task_id", "sample"]).passed.sort_index()
    for score in scores.itertuples():
        cell = (score.model, score.recipe, score.training_set, score.seed, score.problem_set)
        if score.metric == "pass@1":
            wanted = rates[(*cell, score.perturbation)]
        elif score.metric in ("RD", "drop", *of_levels):
            methods = ["C1", "C2", "C3"] if score.metric.endswith("level") and score.perturbation == "C" else None
            if score.metric.endswith("level") and methods is None:
                continue
            clean = rates[(*cell, "clean")]
            perturbed = sum(rates[(*cell, name)] for name in methods or [score.perturbation]) / len(methods or [1])
            found = {"RD": loss(clean, perturbed), "pass@1": perturbed, "drop": perturbed - clean}
            wanted = found[score.metric.removesuffix("_level")]
        elif score.metric in flips:
            before, after = keyed[(*cell, "clean")], keyed[(*cell, score.perturbation)]
            whole = before if score.metric.endswith("lost") else ~before
            flipped = (whole & (before != after)).groupby(level=0).mean().mean()
            share = whole.groupby(level=0).mean().mean() if score.metric.startswith("flip_rate") else 1
            wanted = flipped / share if share else math.nan
        else:
            continue
        checked[score.metric] += 1
        assert same(score.value, wanted), score
    assert all(checked.values()), checked


def test_differences_to_baselines_are_those_of_a_plain_count(storage, rates):
    found = raysweep.load_differences("evidence-mini", storage)
    checked = 0
    parts = ("RD_change", "RD_change_perturbed", "RD_change_clean")
    for one in found[found.metric.isin(["pass@1_difference", *parts])].itertuples():
        recipe = "none" if one.against == "base" else one.recipe
        seeds = rates.xs((one.model, recipe, one.against), level=("model", "recipe", "training_set"))
        baseline = seeds.droplevel("seed")[one.problem_set]
        own = rates[(one.model, one.recipe, one.training_set, one.seed, one.problem_set)]
        if one.metric == "pass@1_difference":
            wanted = own[one.perturbation] - baseline[one.perturbation]
        else:
            (c1, p1), (c2, p2) = ((side["clean"], side[one.perturbation]) for side in (baseline, own))
            clean_first, perturbed_first = loss(c2, p1) - loss(c1, p1), loss(c1, p2) - loss(c1, p1)
            change = loss(c2, p2) - loss(c1, p1)
            of_parts = (
                change,
                (perturbed_first + change - clean_first) / 2,
                (clean_first + change - perturbed_first) / 2,
            )
            wanted = dict(zip(parts, of_parts, strict=True))[one.metric]  # parts: the mean over both orders of changing
        assert same(one.value, wanted), one
        checked += 1
    assert checked > 100


def test_p_values_of_differences_count_all_patterns_of_signs_and_are_adjusted_by_hand(storage, verdicts):
    shares = verdicts.groupby([*CELL, "problem_set", "perturbation", "task_id"]).passed.mean()
    found = raysweep.load_differences("evidence-mini", storage)
    found = found[(found.metric == "pass@1_difference_p") & (found.against == "clean")]
    signs = numpy.array(list(itertools.product((-1, 1), repeat=5)))
    checked = 0
    for one in found.itertuples():
        pair = [shares[one.model, one.recipe, name, one.seed] for name in ("clean", one.training_set)]
        before, after = (side[one.problem_set, one.perturbation].sort_index() for side in pair)
        gains = after.to_numpy(float) - before.to_numpy(float)
        as_far = numpy.abs(signs @ gains) >= abs(gains.sum()) - 1e-9
        assert one.value == pytest.approx(as_far.mean()), one
        checked += bool(gains.any())
    assert checked
    in_tables = 0
    questions = ("perturbation", "number-of-rows")
    for (problems, own), question in itertools.product(found.groupby("problem_set"), questions):
        shown = table(storage, f"against-fine-tuning-on-clean-prompts-by-{question}-{problems}")
        shown = shown.set_index(["test prompts", "model", "difference"])
        family = own[own.training_set.isin(shown.columns)].sort_values("value")
        highest = 0.0
        for place, one in enumerate(family.itertuples()):
            highest = max(highest, min(1.0, len(questions) * (len(family) - place) * one.value))
            assert same(shown.loc[(one.perturbation, one.model, "p"), one.training_set], one.value)
            adjusted = shown.loc[(one.perturbation, one.model, "p (Holm)"), one.training_set]
            assert adjusted == pytest.approx(highest)
        in_tables += len(family)
    assert in_tables == len(found), "each test is in one family"


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
    messages = raysweep.load_quality("evidence-mini", storage, messages=True)
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
    differences = (tuned.value.to_numpy() - base[tuned.model].to_numpy()).round(9)  # so that scipy sees equal ones
    if any(differences):
        assert tests.loc["clean pass@1", "W"] == wilcoxon(differences).statistic
    n, c = 7, 3
    assert raysweep.metrics.pass_at_k(n, c, 2) == pytest.approx(1 - comb(n - c, 2) / comb(n, 2))
    assert not verdicts.duplicated(["task_id", "sample", *CELL, "problem_set", "perturbation"]).any()


def test_intervals_of_differences_and_rd_are_those_of_a_plain_bootstrap(storage, verdicts):
    """Where each problem's verdicts agree: Dirichlet weights, and one problem more that is lost and one that is won.

    Other random numbers than the sweep's give other ends, so each end is looked up among resamples drawn here.
    """
    shares = verdicts.groupby([*CELL, "problem_set", "perturbation", "task_id"]).passed.mean()
    whole = shares.groupby([*CELL, "problem_set", "perturbation"]).agg(lambda own: own.isin([0, 1]).all())
    problems, corners = 5, numpy.array([(1, 0), (0, 1)])
    weights = numpy.random.default_rng(7).dirichlet([1.0] * (problems + len(corners)), 40_000)

    def check(one: Any, keys: list[tuple[Any, ...]], statistic: Callable[[Any, Any], Any]) -> bool:
        if not all(whole[key] for key in keys) or math.isnan(one.low):
            return False
        values = numpy.concatenate([numpy.stack([shares[key].sort_index() for key in keys], axis=1), corners])
        found = statistic(*(weights @ values).T)
        for end, share in ((one.low, 0.025), (one.high, 0.975)):
            if end != pytest.approx(one.value, abs=1e-12):  # an interval contains the number itself
                assert (found < end).mean() == pytest.approx(share, abs=by_chance(share)), one
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


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_friedmans_tests_are_scipys(storage, verdicts, problems):
    of_set = verdicts[verdicts.problem_set == problems]
    lines = table(storage, f"friedman-{problems}").to_dict("records")
    assert {(line["model"], line["training set"]) for line in lines} == {
        (model, name) for model in ("llama", "gpt_bigcode") for name in ("base", "clean")
    }
    for line in lines:
        own = of_set[(of_set.model == line["model"]) & (of_set.training_set == line["training set"])]
        shares = own.pivot_table(index="task_id", columns="perturbation", values="passed", aggfunc="mean")
        shares = shares[["C1", "C2", "C3"]]
        assert (line["problems"], line["methods"]) == (len(shares), 3)
        if (shares.nunique(axis=1) == 1).all():
            assert line["p"] == 1
            continue
        statistic, p = friedmanchisquare(*(shares[name] for name in shares))
        assert (line["chi-square"], line["p"]) == pytest.approx((statistic, p))
        assert line["W"] == pytest.approx(statistic / (len(shares) * 2))
        means = shares.rank(axis=1).mean()
        hardest = means.index[means == means.min()]
        assert line["hardest"] == (" and ".join(hardest) if len(hardest) < 3 else "none")


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_the_heat_map_has_the_numbers_of_the_verdicts(storage, rates, problems):
    by_name = rates.droplevel(["recipe", "seed"]).xs(problems, level="problem_set")
    drawn = Path(storage, "sweeps", "evidence-mini", "figures", f"heat-map-{problems}.svg").read_text()
    wanted = [
        decimal(100 * by_name[model, training_set, test])
        for model in ("llama", "gpt_bigcode")
        for training_set in ("base", "clean", *PERTURBED)
        for test in ("clean", "C1", "C2", "C3", "mix_all")
        if (model, training_set, test) in by_name.index
    ]
    assert re.findall(r">(\d+\.\d)</text>", drawn) == wanted and len(wanted) > 20


def test_sign_flips_count_all_patterns_of_the_signs_of_both_models(storage, rates):
    own = rates.droplevel(["recipe", "seed"]).xs(("mini-mbpp", "clean"), level=("problem_set", "perturbation"))
    (line,) = (
        line
        for line in table(storage, "tests-in-text-mini-mbpp").to_dict("records")
        if line["quantity"] == "clean pass@1"
    )
    models = ("llama", "gpt_bigcode")
    sums = [
        sum(own[model, name] - own[model, "base"] for name in ("clean", "C1", "mix_all") if (model, name) in own.index)
        for model in models
    ]
    patterns = [abs(a * sums[0] + b * sums[1]) for a in (1, -1) for b in (1, -1)]
    assert line["units"] == 2
    assert line["p (sign flips)"] == sum(value >= abs(sum(sums)) - 1e-12 for value in patterns) / len(patterns)


@pytest.mark.parametrize("problems", ["mini-humaneval", "mini-mbpp"])
def test_outcomes_are_those_of_a_plain_count(storage, verdicts, problems):
    own = verdicts[verdicts.problem_set == problems]
    own = own.assign(prompts=numpy.where(own.perturbation == "clean", "clean", "perturbed"))
    wanted = own.groupby(["model", "training_set", "prompts"]).outcome.value_counts(normalize=True)
    lines = table(storage, f"outcomes-on-{problems}").to_dict("records")
    sizes = own.groupby(["model", "training_set", "prompts"]).size()
    assert len(lines) == len(sizes)
    for line in lines:
        key = (line["model"], line["training set"], line["prompts"])
        assert line["completions"] == sizes[key]
        for outcome in own.outcome.unique():
            assert same(line[outcome.replace("_", " ")], 100 * wanted.get((*key, outcome), 0.0)), (line, outcome)


def test_the_cost_is_the_sum_of_the_manifests(storage):
    folder = SweepFolder(Store(storage), "evidence-mini")
    lines = {line["model"]: line for line in table(storage, "cost").to_dict("records")}
    grid = pandas.DataFrame([dataclasses.asdict(row) for row in folder.grid()])
    totals: dict[str, float] = {}
    for model in ("llama", "gpt_bigcode"):
        own = grid[grid.model == model]

        def counted(stage: str, keys: str, name: str, own: pandas.DataFrame = own) -> float:
            found = [key for key in dict.fromkeys(own[keys]) if key]
            paths = [Path(storage, "artefacts", stage, key[:2], key, "manifest.json") for key in found]
            return sum(json.loads(path.read_text())["counts"][name] for path in paths if path.is_file())

        trained = sum(counted(stage, "model_key", "cpu_seconds") for stage in ("model", "base_model"))
        wanted = {
            "CPU-hours trainings": trained / 3600,
            "CPU-hours generation": counted("completions", "completions_key", "cpu_seconds") / 3600,
            "CPU-hours programs": counted("results", "results_key", "program_seconds") / 3600,
            "CPU-hours linting": counted("quality", "quality_key", "cpu_seconds") / 3600,
            "completions asked for": counted("completions", "completions_key", "rows"),
            "completions tokens": counted("completions", "completions_key", "tokens"),
            "programs verdicts": counted("results", "results_key", "rows"),
        }
        run = counted("results", "results_key", "programs_run")
        assert lines[model]["programs run (%)"] == pytest.approx(100 * run / wanted["programs verdicts"])
        for name, value in wanted.items():
            assert lines[model][name] == pytest.approx(value), (model, name)
            totals[name] = totals.get(name, 0) + value
    assert all(lines["all"][name] == pytest.approx(value) for name, value in totals.items())
    assert all(totals[f"CPU-hours {stage}"] > 0 for stage in ("trainings", "programs", "linting"))
