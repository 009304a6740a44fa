"""Configs: what is refused, and how the errors read."""

from __future__ import annotations

import csv
import pickle
import shutil
from pathlib import Path

import pytest
import yaml

from raysweep.config import loading
from raysweep.config.document import ConfigError, read_document
from raysweep.config.fields import SpecConfig
from raysweep.config.grid import build_grid
from raysweep.config.groups import spelled_out
from raysweep.config.loading import config_from, load_config, to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError, did_you_mean
from raysweep.perturbations.base import PERTURBATIONS
from raysweep.planning.planner import build_plan
from raysweep.planning.sets import SetPlanner
from raysweep.problems.base import PROBLEMS
from raysweep.programs import Lane, Level, Limits, Sandbox
from raysweep.records import BASE, Spec
from raysweep.sweep.report.notes import settings_lines
from raysweep.training_sets.base import SOURCES
from tests.config.mistakes import MINIMAL, ROWS, findings, screen, tiny_folder, write
from tests.config.studies import study_overrides
from tests.conftest import shared_data
from tests.execution.compiled.processes import needs_junit
from tests.paths import CONFIGS, NANO, REPO

HELD_OUT = CONFIGS / "held-out.yaml"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["apr", "creme", "fait"])
def test_a_study_whose_files_are_all_there_is_valid(name, tmp_path):
    """Those whose checks need them; tests/config/test_examples.py reads all configs, whatever isn't here."""
    if name == "apr":
        needs_junit()
    assert load_config(CONFIGS / f"{name}.yaml", study_overrides(name, tmp_path)).name == name


def shipped(name: str) -> SweepConfig:
    """Return a shipped config on MiniCode's rows and problems, so that no file is looked at."""
    document = spelled_out(read_document(CONFIGS / f"{name}.yaml")).value
    training, evaluation = document.get("training", {}), document["evaluation"]
    rows = {"name": "minicode", "world": 1, "rows": 30_087}
    if "sources" in training:
        training["sources"] = {at: {**rows, "rejected": of["rejected"]} for at, of in training["sources"].items()}
    elif training:
        training["source"] = rows
    if name in ("study", "fait"):
        names = [of if isinstance(of, str) else of.get("as", of["name"]) for of in evaluation["problems"]]
        evaluation["problems"] = [{"name": "minicode", "as": name} for name in names]
    document["language"] = {"translator": "none"}
    context = {section: set(document.get(section, {})) for section in ("recipes", "perturbations")}
    return SweepConfig.model_validate(document, context=context)


@pytest.mark.parametrize(
    ("name", "cells", "pairs"),
    [
        ("study", 204, 4_308),
        ("held-out", 72, 1_656),
        ("languages", 18, 504),
        # models, editors, problem sets, categories and pairs; bases and rewriters
        ("creme", 2 * 2 * 20 * (7 * 10 + 1) + 4, 2 * 2 * 2 * 20 * (7 * 10 + 1) + 4 * 2 * 21),
        ("fait", 39, 39 * 2 - 8),
        ("apr", 450 + 18 + 63 + 21, (18 + 63 + 21) * 4),
        ("apr-mini", 96, 6 * 4),
    ],
)
def test_a_shipped_study_has_its_models_and_pairs(name, cells, pairs):
    grid = build_grid(shipped(name))
    assert (len(grid.cells), len(grid.pairs)) == (cells, pairs)


def test_the_grid_of_program_repair():
    config = shipped("apr")
    grid = build_grid(config)
    table, sizes, plain = config.models[:6], config.models[6:15], config.models[15:]
    candidates = [
        cell for cell in grid.cells if cell.recipe in config.recipes and config.recipes[cell.recipe].is_candidate
    ]
    chosen = {cell for cell in grid.cells if cell.recipe in ("full", "lora", "ia3", "ia3-codegen")}
    assert len(candidates) == 6 * 3 * 25 == 450 and len(chosen) == 6 * 3
    assert {cell.model for cell in chosen} == {model.name for model in table}
    assert len([cell for cell in grid.cells if cell.recipe.endswith("-equal")]) == (6 + 9 + 6) * 3
    assert len({model.path for model in (*table, *sizes)}) == 15
    assert [model.path for model in plain] == [model.path for model in table]
    shown = {model.path: model.template for model in table}
    for model in plain:
        assert model.template in (shown[model.path].replace("buggy_line", "plain"), "repair_infill_plain")
    for cell in candidates:
        recipe = config.recipes[cell.recipe]
        assert (recipe.keep, recipe.schedule, recipe.warmup, recipe.batch_size) == ("best", "linear", 0, 4)
        assert (recipe.weight_decay, recipe.clip, recipe.precision, recipe.max_tokens) == (0, 1, "float32", 768)
        if recipe.trainer == "lora":
            assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout, recipe.lora.preset) == (8, 8, 0.05, "peft")
    grids = {(recipe.lr, recipe.epochs) for recipe in config.recipes.values() if recipe.is_candidate}
    assert grids == {(lr, epochs) for lr in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3) for epochs in (1, 2, 3, 5, 10)}
    evaluation = config.evaluation
    assert (evaluation.beams, evaluation.samples, evaluation.early_stopping) == (10, 10, True)
    assert (evaluation.temperature, evaluation.max_new_tokens) == (0, 128)


def test_the_small_grid_of_program_repair_has_its_families_and_regimes():
    study, small = shipped("apr"), shipped("apr-mini")
    grid = build_grid(small)
    trained = [cell for cell in grid.cells if cell.recipe in small.recipes and small.recipes[cell.recipe].is_candidate]
    assert len(small.models) == 6 and len(trained) == 72
    assert [model.template for model in small.models] == [model.template for model in study.models[:6]]
    families = [model.pretrain.family for model in small.models if model.pretrain]
    assert families == ["codegen", "t5", "gpt_bigcode", "llama", "bloom", "llama"]


def test_layer_editing_takes_the_sanitized_problems_of_mbpp():
    mbpp = shipped("creme").evaluation.problems[1]  # MBPP-R has these 427 alone
    assert mbpp.model_extra == {"config": "sanitized", "split": "train+test+validation+prompt"}


def test_the_grid_of_fault_aware_fine_tuning():
    config = shipped("fait")
    grid = build_grid(config)
    tuned = [cell for cell in grid.cells if cell.training_set != BASE]
    assert len(config.models) == 11 and len(tuned) == 29
    assert [model.name for model in config.models if not model.judged] == ["qwen2.5-coder-32b-instruct"]
    sets = {cell.model: cell.training_set for cell in tuned}
    assert [sets[name] for name in ("magicoder-s-cl", "magicoder-ds", "semcoder")] == ["evol", "oss", "pyx"]
    assert list(sets.values()).count("evol") == 5
    weights = [cell for cell in tuned if cell.recipe.startswith(("fixed-", "alpha-"))]
    assert len(weights) == 8 and {cell.model for cell in weights} == {"semcoder-s"}
    for cell in grid.cells:
        judged_on = [pair.problem_set for pair in grid.pairs_of(cell)]
        assert judged_on == (["humaneval-plus"] if cell in weights else ["humaneval-plus", "mbpp-plus"])
    alphas = {recipe.objective_args["alpha"] for recipe in config.recipes.values() if recipe.objective == "fait"}
    fixed = {recipe.objective_args["weight"] for recipe in config.recipes.values() if recipe.objective == "fixed"}
    assert alphas == {1, 1.5, 2, 3, 5} and fixed == {0, 2, 3, 5}
    for recipe in config.recipes.values():
        assert (recipe.epochs, recipe.lr, recipe.schedule, recipe.max_tokens) == (1, 5e-6, "linear", 1024)
        assert (recipe.batch_size, recipe.weight_decay, recipe.clip, recipe.precision) == (64, 0, 1, "bf16")
        assert recipe.workers == 8 and round(recipe.warmup * 110_000 / 64) == 15
    assert config.evaluation.temperature == 0
    assert config.training is not None and len(config.training.row_sources) == 3
    for source in config.training.row_sources:
        made = source.rows.rejected
        assert made is not None and made.teacher == "qwen2.5-coder-32b-instruct"
        assert made.temperature == 0.8 and not made.filters


def test_the_numbers_printed_on_fault_aware_fine_tuning_are_those_of_its_grids_cells():
    document = yaml.safe_load((CONFIGS / "fait.yaml").read_text())
    sets = [entry["name"] for entry in document["training"]["sets"]]
    cells = {
        (model["name"], trained, recipe)
        for model in document["models"]
        for trained in model.get("sets", sets)
        for recipe in model.get("recipes", [])
    } | {(model["name"], "base", "none") for model in document["models"]}
    with (REPO / "raysweep" / "analysis" / "published" / "fault_aware_finetuning.csv").open(encoding="utf-8") as file:
        printed = {(row["model"], row["training_set"], row["recipe"]) for row in csv.DictReader(file)}
    assert len(printed) > 25 and printed <= cells


def test_the_small_grid_is_the_studys():
    study, small = (yaml.safe_load((CONFIGS / f"{name}.yaml").read_text()) for name in ("study", "paper-mini"))
    assert small["training"]["sets"] == study["training"]["sets"]
    assert small["evaluation"]["perturbations"] == study["evaluation"]["perturbations"]
    assert len(small["evaluation"]["problems"]) == len(study["evaluation"]["problems"])
    assert small["evaluation"]["pairs"] == study["evaluation"]["pairs"]
    ways = [
        [(model["name"], model.get("dtype"), model["recipes"]) for model in config["models"]]
        for config in (study, small)
    ]
    assert ways[0] == ways[1]
    used = ("trainer", "epochs", "batch_size", "lora", "precision", "workers", "parallel")
    for name, recipe in study["recipes"].items():
        assert {key: recipe.get(key) for key in used} == {key: small["recipes"][name].get(key) for key in used}


def test_a_perturbation_with_arguments_of_its_own_has_a_name_to_be_used_by(tmp_path):
    own = "perturbations: {typos: {name: mix, members: [C1, C3], strength: 2}}\n"
    text = MINIMAL + "  perturbations: [typos, C1]\n" + own + "strengths: {C1: 0.5}\n"
    spec = load_config(write(tmp_path, text)).perturbation("typos")
    assert (spec.name, spec.args["strength"], spec.args["strengths"]) == ("mix", 2, {"C1": 0.5})  # its own stands above


NAMED = """\
  perturbations: [C1]|perturbations: {C1: {name: mix, members: [C2]}}
  perturbations: [typos]|perturbations: {typos: {name: mix, members: 5}}
  perturbations: [typos]|perturbations: {typos: {name: mix, members: [[1]]}}
  perturbations: [mix]|perturbations: {}
  perturbations: [typos]|perturbations: {typos: {name: mix, members: [C1]}}|strengths: {typos: 2}
  perturbations: [C1]|perturbations: {}|strengths: {mix: 2}
  perturbations: [typos]|perturbations: {typos: {name: mix, members: [C9]}}
  perturbations: [typos]|perturbations: {typos: {name: mix, membrs: [C1]}}
  perturbations: [typo]|perturbations: {typos: {name: mix, members: [C1]}}
  perturbations: [typos]|perturbations: {typos: {name: mix, members: []}}
"""


def test_what_is_wrong_with_a_named_perturbation_is_said(tmp_path, snapshot):
    texts = [text.replace("|", "\n") + "\n" for text in NAMED.splitlines()]
    assert screen(texts, lambda text: findings(write(tmp_path, MINIMAL + text))) == snapshot


def test_recodes_exact_behaviour_is_refused_for_what_has_none_and_takes_chosen_members(tmp_path):
    text = MINIMAL + "  perturbations: [typos]\n  compat: recode\n"
    text += "perturbations: {typos: {name: mix, members: [C1, C3], strength: 2}}\n"
    plan = SetPlanner(load_config(write(tmp_path, text))).test_set("humaneval", "typos", 0)
    assert plan.perturbation == Spec("mix", {"members": ["C1", "C3"]})
    with pytest.raises(ConfigError, match=r"perturbations.1: perturbation W1 has no `compat: recode`"):
        load_config(write(tmp_path, text.replace("[C1, C3]", "[C1, W1]")))


NOT_UNSEEN = {
    "keyboard_typo",  # C1
    "swap_adjacent_chars",  # C2
    "extra_capital_letter",  # C3
    "synonym_substitution",  # W2
    "grammatical_person_variation",  # W3: each changed word is another form of it
    "extra_space_among_words",  # not published
    *("c1", "c2", "c3"),  # mixes of them
}


@pytest.mark.slow
def test_the_held_out_config_leaves_each_method_out_once_and_takes_what_nlperturbator_published(tmp_path, monkeypatch):
    (tmp_path / "NLPerturbator").symlink_to(shared_data("nlperturbator"))
    (tmp_path / "rows.jsonl").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    overrides = [f"models.{at}.path={tiny_folder(tmp_path / str(at))}" for at in range(6)]
    overrides += [f"training.source.path={tmp_path / 'rows.jsonl'}", "language.translator=none"]
    overrides += [
        "evaluation.perturbations.7=clean",
        "perturbations.without-S1={name: mix, members: [C1]}",
    ]  # no S1 here
    config = load_config(shutil.copy(HELD_OUT, tmp_path), overrides)
    nine = set(PERTURBATIONS.get("mix_all").members)
    written = yaml.safe_load(HELD_OUT.read_text())["perturbations"]
    left_out = {name: nine - set(own["members"]) for name, own in written.items() if own["name"] == "mix"}
    assert left_out == {f"without-{name}": {name} for name in nine}
    assert {s.name for s in config.training.sets} == {"clean", "mix_all", *left_out}
    ready = {name: own["category"] for name, own in written.items() if own["name"] == "nlperturbator"}
    files = shared_data("nlperturbator", "HumanEval-R").glob("*.csv.gz")
    published = {file.name.removeprefix("humaneval_").removesuffix(".csv.gz") for file in files}
    assert set(ready.values()) == published - NOT_UNSEEN
    assert set(config.evaluation.perturbations) == {"clean", "mix_all", *nine, *ready} - {"S1"}
    for name in ready:
        assert PERTURBATIONS.create(config.perturbation(name)).fingerprint().keys() == {"HumanEval-R", "MBPP-R"}


def test_the_resolved_config_reads_back_equal(tmp_path):
    config = load_config(NANO)
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert load_config(again) == config


def test_parts_that_were_built_for_the_checks_are_those_of_the_plan_and_no_setting(monkeypatch):
    config = load_config(NANO)
    for registry in (PROBLEMS, SOURCES, PERTURBATIONS):
        monkeypatch.setattr(registry, "create", lambda spec: pytest.fail(f"{spec} is built again"))
    assert build_plan(config).cells
    assert pickle.loads(pickle.dumps(config)) == config == config.model_copy()


def test_all_errors_come_at_once_with_line_key_value_and_nearest_name(tmp_path):
    text = MINIMAL + "sead: 3\nevaluation2: {}\nresources: {cpus: many}\nstrengths: {C11: 1}\n"
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert "line 7, sead: unknown key (did you mean 'seed'?)" in message
    assert "line 8, evaluation2: unknown key (did you mean 'evaluation'?)" in message
    assert "line 9, resources.cpus: " in message and "'many'" in message
    assert "line 10, strengths.C11: unknown perturbation 'C11' (did you mean 'C1'?)" in message
    assert len(caught.value.findings) == 4


MISTAKEN = [
    MINIMAL + "seed: 1\nseed: 2\n",
    MINIMAL + "allow_code_execution: 'yes please'\n",
    MINIMAL.replace("models:", "modells:"),
    MINIMAL.replace("reference", "refrence"),
    MINIMAL.replace("name: ref", "name: ref/1"),
    MINIMAL.replace("generator: reference", "path: a\n    generator: reference"),
    MINIMAL.replace("    generator: reference\n", ""),
    MINIMAL.replace("    generator", "    recipes: [full]\n    generator"),
    MINIMAL.replace("    generator: reference", "    generator: reference\n    stop: ['\\ndef']"),
    MINIMAL.replace("humaneval", "humanevil"),
    MINIMAL.replace("humaneval", "{name: jsonl, path: nowhere.jsonl}"),
    MINIMAL.replace("humaneval", "{name: humaneval, splitt: test}"),
    MINIMAL.replace("humaneval", "nowhere.jsonl"),
    MINIMAL.replace("humaneval", "own=nowhere.jsonl"),
    MINIMAL.replace("humaneval", "{name: own, path: nowhere.jsonl}"),
    MINIMAL.replace("[humaneval]", "humaneval"),
    MINIMAL.replace("generator: reference", "path: /nowhere/b"),
    MINIMAL.replace("generator: reference", "path:"),
    MINIMAL.replace("evaluation:\n  problems: [humaneval]", "evaluation: "),
    MINIMAL + "recipes: {lora: }\n",
    MINIMAL + "training:\n",
    MINIMAL + "perturbations: {x: }\n",
    MINIMAL + "  limit:   # to be chosen\n",
    MINIMAL + "seeds:\n  - 1\n  -\n",
    MINIMAL + "perturbations: {x: {name: mix, members: [C1], strengths: {C1: .nan}}}\n",
    MINIMAL + "recipes: {x: {objective_args: {weight: .inf}}}\n",
    MINIMAL + "resources: {custom: {tpu: -.inf}}\n",
    MINIMAL + "resources: {labels: {zone: .nan}}\n",
    "name: [",
    "- a",
    "name: a\n  seed: 1\n",
    "a:\n  b: 1\n c: 2\n",
    "name: c\nmodels\n  - x\n",
    "a: [1], b: 2\n",
    "a: [1, 2\nb: 3\n",
    "a: {b: 1\nc: 3\n",
    "a: 'x\nb: 2\n",
    "\ta: 1\n",
]


def test_a_mistake_in_a_file_is_told_with_its_line_and_the_way_out(tmp_path, monkeypatch, snapshot):
    monkeypatch.chdir(tmp_path)
    assert screen(MISTAKEN, lambda text: findings(write(Path(), text))) == snapshot


def test_a_stop_string_may_hold_a_newline(tmp_path):
    text = MINIMAL.replace("    generator: reference", '    generator: reference\n    stop: ["\\ndef"]')
    assert load_config(write(tmp_path, text)).models[0].stop == ["\ndef"]


BOMB = b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1) if letter > 97 else b"x"] * 9))
    for letter in range(97, 107)
)


def test_set_overrides_a_key_below_lists_and_new_sections(tmp_path):
    path = write(tmp_path, MINIMAL)
    config = load_config(path, ["models.0.name=other", "resources.cpus=2", "evaluation.perturbations=[C1, C2]"])
    assert (config.models[0].name, config.resources.cpus) == ("other", 2)
    assert config.evaluation.perturbations == ["clean", "C1", "C2"]


@pytest.mark.parametrize("own", ["", "resources:\n  labels: {zone: a}\n"])
def test_a_key_with_dots_is_told_how_to_be_set(tmp_path, own):
    path, label = write(tmp_path, MINIMAL + own), "ray.io/accelerator-type"
    with pytest.raises(ConfigError) as caught:
        load_config(path, [f"resources.labels.{label}=A100"])
    (found,) = caught.value.findings
    assert found.startswith(f"--set resources.labels.{label}=A100, resources.labels.ray: must be text")
    way = f"resources.labels={{{label}: A100}}"
    assert found.endswith(f"--set '{way}'")
    assert load_config(path, [way]).resources.labels == {label: "A100"}
    assert findings(path, "prices.A100-40.5G=3")[0].endswith("--set 'prices={A100-40.5G: 3}'")
    assert "a dot separates" not in findings(path, "models.0.name=7")[0]


def test_a_mapping_is_checked_like_a_file():
    config = config_from(yaml.safe_load(MINIMAL), "here")
    assert config.evaluation.perturbations == ["clean"]
    with pytest.raises(UsageError, match="here: 1 error"):
        config_from({**yaml.safe_load(MINIMAL), "nam": 1}, "here")


VALUES = """\
seed
models.7.name = x
seed.deeper = 1
seed = [1 | 7.0 | '7' | '2' | 9223372036854775808
seeed = 1
seeds = 3 | 42,43 | [] | true | '010,2' | '[42,43]'
name = a/b | 2024-01-01 | "\\u0301a" | "a\\ufe0f" | "\\u3164" | "mode\\u0300le"
a..b = 1
training =
recipes =
recipes.other =
recipes = {2024-01-01: {}} | {on: {}}
resources.custom. = 1
resources.gpu = 1
resources.gpus = '0.5' | atuo
resources.executors = 0 | '4' | many
resources.memory_gib = 16GB | 16000M
allow_code_execution = 'yes'
ray.dashboard = 'true'
checkpoint_every = '100' | 10 minutes
execution.lane = fast
execution.require = strongest
execution.reference_factor = 0.5
models = [null]
models.0.name = 7
models.0.dtype = fp16
models.0.recipes = tiny | [tny]
models.0.pretrain.family = lama
models.0.pretrain.size.hidden_size = '16' | .nan | null | -1
models.0.pretrain.size.num_hidden_layers = true
recipes.tiny.batchsize = 4
recipes.tiny.batch_size = four | 0 | 2147483648
recipes.tiny.lr = 3e-3 | 2.5e4
recipes.tiny.eps = .nan
recipes.tiny.epochs = .inf | '3' | 1000001
recipes.tiny.betas = [0.9] | [0.9, 1]
recipes.tiny.optimizer = adam
recipes.tiny.trainer = qlora
recipes.tiny.lora.targets = [] | {a: 1}
training.sets = [] | [clean, C11] | [clean, {name: half, perturbation: C1, ratio: 50}]
training.source = rows.csv | {name: json, path: rows.jsonl} | {name: jsonl, file: rows.jsonl}
evaluation.limit = 0
evaluation.temprature = 1
evaluation.pairs = papr | {C1: clean}
evaluation.perturbations = [C9] | '1,2'
evaluation.problems.0.count = .nan
"""
"""Each key with values that it doesn't take."""


@pytest.mark.slow
def test_a_value_of_the_wrong_kind_is_told_in_plain_words(snapshot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = [line.partition(" =") for line in VALUES.splitlines()]
    wrong = [f"{key}{equals[1:]}{value.strip()}" for key, equals, values in keys for value in values.split(" |")]
    long = ["models.0.name=" + "模" * 14, "name=" + "a" * 81, "models.0.pretrain.size.rope_theta=1" + "0" * 30]
    assert screen([*wrong, *long, 'report.title="\\ud800"']) == snapshot


OTHER_NAMES = """\
learning_rate=1.0e-4
max_length=64
models.0.torch_dtype=bfloat16
recipes.tiny.learning_rate=1.0e-4
recipes.tiny.max_length=64
recipes.tiny.load_best_model_at_end=true
recipes.tiny.num_train_epochs=3
recipes.tiny.per_device_train_batch_size=4
recipes.tiny.lora.lora_alpha=32
recipes.tiny.lora.rank=8
evaluation.max_length=64
evaluation.do_sample=false
evaluation.bf16=true
evaluation.num_return_sequences=4
"""


def test_other_tools_names_are_told_what_they_are_called_here(snapshot):
    assert screen(OTHER_NAMES.splitlines()) == snapshot


@pytest.mark.parametrize(
    ("named", "misplaced"),
    [
        ("trainer: rome", "edit_at: 0"),
        ("objective: fixed", "weight: 3"),
        ("objective: sft", "prompt_weight: 0.3"),
        ("trainer: lora, objective: sft", "r: [2, 4]"),
    ],
)
def test_an_argument_on_the_recipes_own_level_is_told_where_it_belongs(named, misplaced):
    (found,) = findings(NANO, f"recipes.other={{{named}, {misplaced}}}")
    way = found.partition("unknown key; it belongs into `")[2].rstrip("`")
    assert way.endswith(f": {{{misplaced}}}")
    load_config(NANO, [f"recipes.other={{{named}, {way}}}"])
    assert "known here" in findings(NANO, f"recipes.other={{trainer: full, objective: dpo, {misplaced}}}")[0]


def test_a_whole_number_is_fine_where_a_real_one_is_wanted():
    config = load_config(NANO, ["recipes.tiny.epochs=2", "resources.cpus=1", f"name={'a' * 80}"])
    assert (config.recipes["tiny"].epochs, config.resources.cpus) == (2.0, 1.0)


def test_a_set_of_a_whole_list_hides_the_files_lines():
    with pytest.raises(ConfigError, match=r"--set models=\[null\], models.0: "):
        load_config(NANO, ["models=[null]"])


def test_known_keys_are_listed_once(tmp_path):
    findings_of = findings(write(tmp_path, "one: 1\ntwo: 2\nmodels: [{nmae: x, pahts: y}]\n"))
    assert sum("known here: allow_code_execution" in line for line in findings_of) == 1
    assert sum("known here: accelerator" in line for line in findings_of) == 1
    assert sum("unknown key" in line for line in findings_of) == 4


def test_a_set_below_an_anchor_changes_one_place(tmp_path):
    text = MINIMAL + "recipes: {a: &a {lora: {r: 4}}, b: *a}\n"
    config = load_config(write(tmp_path, text), ["recipes.a.lora.r=8"])
    assert (config.recipes["a"].lora.r, config.recipes["b"].lora.r) == (8, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (MINIMAL.encode("utf-16"), "line 1: not UTF-8"),
        ((MINIMAL + "report: {title: é}\n").encode("latin-1"), "line 7: not UTF-8"),
        (b"a: &a [*a]\n", "an anchor (&) holds itself"),
        (b"a: &a {b: *a}\n", "an anchor (&) holds itself"),
        (BOMB, "its aliases (*) stand for more than 100,000 values"),
        (b"name: x\nseed: 010\n", "line 2: 010 has a leading zero"),
        (b'name: "\\ud800"\n', "line 1: '\\ud800' holds half of a surrogate pair"),
        (b"a: " + b"[" * 3000, "nested too deeply"),
        (b"a: 2001-99-99\n", "not valid YAML: month must be in 1..12"),
        (b"a: \x00\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_one_error(tmp_path, content, expected):
    path = tmp_path / "sweep.yaml"
    path.write_bytes(content)
    (found,) = findings(path)
    assert expected in found and "\n" not in found


def test_a_path_travels_to_workers_as_an_absolute_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").touch()
    assert SpecConfig(name="jsonl", path="rows.jsonl").spec(SOURCES, 0).args == {"path": str(tmp_path / "rows.jsonl")}
    for far in ("s3://bucket/rows.jsonl", "owner/hub-id"):
        assert SpecConfig(name="jsonl", path=far).spec(SOURCES, 0).args == {"path": far}


def test_trusting_remote_code_must_be_asked_for(tmp_path):
    assert load_config(write(tmp_path, MINIMAL)).models[0].trust_remote_code is False


def test_strengths_reach_single_methods_and_aggregates_and_nothing_else(tmp_path):
    config = load_config(write(tmp_path, MINIMAL + "strengths: {C1: 1.5, C3: 0.4}\n"))
    assert config.perturbation("C1").args == {"strength": 1.5}
    assert config.perturbation("C2").args == {}
    assert config.perturbation("C").args == {"strengths": {"C1": 1.5, "C3": 0.4}}
    assert config.perturbation("clean").args == {}


def test_execution_settings_stand_over_a_problem_sets_limits():
    section = load_config(
        NANO, ["execution={timeout: 2, lane: strict, require: strong, reference_factor: 4}"]
    ).execution
    assert section.limits(Limits(timeout=9, memory_mib=77)) == Limits(timeout=2, memory_mib=77)
    assert section.sandbox == Sandbox(Lane.STRICT, Level.STRONG)


def test_a_name_that_shares_little_is_not_offered():
    assert did_you_mean("a", ["ray", "seed"]) == ""


def test_without_a_translator_s1_is_left_out_and_counted(caplog, monkeypatch):
    monkeypatch.setattr(loading, "is_one_ready", lambda: False)
    overrides = ["evaluation.quality=null"]
    config = load_config(CONFIGS / "evidence-mini.yaml", overrides)
    assert config.language.translator == "none"
    assert "S1" not in config.evaluation.perturbations and "S1" not in [one.name for one in config.training.sets]
    assert len(config.evaluation.perturbations) == 13 and len(config.training.sets) == 32
    assert "13 of 14 test perturbations stay, 32 of 33 training sets" in caplog.text
    line = ("left out", "methods that translate, such as S1, also of mixes: language.translator is none")
    assert line in settings_lines(config)
    with pytest.raises(ConfigError, match=r"training\.sets: language\.translator is none, and all of them translate"):
        load_config(CONFIGS / "evidence-mini.yaml", [*overrides, "training.sets=[S1]"])


def test_a_translator_that_is_ready_is_taken_where_one_may_be_missing(monkeypatch):
    monkeypatch.setattr(loading, "is_one_ready", lambda: True)
    config = load_config(CONFIGS / "evidence-mini.yaml", ["evaluation.quality=null"], missing=[])
    assert config.language.translator == "auto" and "S1" in config.evaluation.perturbations
