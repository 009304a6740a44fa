"""What a config names: it must fit together, and files and models must be there. All of it is told before work."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from raysweep.config.document import ConfigError, read_document
from raysweep.config.loading import load_config, read_config, to_yaml
from raysweep.models.scratch import EOS
from raysweep.planning.planner import build_plan
from raysweep.stages.inputs import base_ref, model_ref
from raysweep.storage.store import IN_RAY_JOB
from raysweep.testing.tiny import make_tiny
from tests.config.test_schema import CONFIGS, MINIMAL, NANO, findings, tiny_folder, write
from tests.execution.compiled.processes import needs
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.test_versions import make_adapter


def test_a_training_file_is_checked_before_work_with_its_line(tmp_path):
    rows = tmp_path / "rows.jsonl"
    text = NANO.read_text().replace(
        "source: {name: minicode, part: finetuning, rows: 64}", f"source: {{name: jsonl, path: {rows}}}"
    )
    for content, expected in [
        ('{"instruction": "a", "output": "b"}\n{"instruction": "a", \n', f"{rows}:2"),
        ('{"prompt": "a", "output": "b"}\n', "`instruction`"),
        ("", "no rows"),
    ]:
        rows.write_text(content)
        with pytest.raises(ConfigError, match=r"training.source: ") as caught:
            load_config(write(tmp_path, text))
        assert expected in str(caught.value)


def test_a_path_that_is_no_model_is_refused(tmp_path):
    text = MINIMAL.replace("generator: reference", f"path: {tmp_path}")
    with pytest.raises(ConfigError, match=r"line 4, models.0.path: no model at"):
        load_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "training.sets=[{name: base, perturbation: C1}]",
            "training.sets.0: 'base' is the name for models",
        ),
        (
            "training.sets=[C1, {name: control, perturbation: clean}]",
            "training.sets.1: 'control' has all rows as they are, and others are compared with that set by its name; "
            "call it 'clean'",
        ),
        ("training.sets=[C1, C2, C1]", "training.sets.2: the training set name 'C1' is listed twice"),
        ("seeds=[1, 2, 1]", "seeds.2: the seed 1 is listed twice"),
        ("models.0.recipes=[tiny, tiny]", "models.0.recipes.1: the recipe 'tiny' is listed twice"),
        ("evaluation.problems=[humaneval, humaneval]", "evaluation.problems.1: the problem set 'humaneval' is listed"),
        ("evaluation.pairs={C1: [C1, C1]}", "evaluation.pairs.C1.1: the perturbation 'C1' is listed twice"),
        ("evaluation.pairs={claen: [C1]}", "evaluation.pairs.claen: no training set called 'claen'"),
        ("evaluation.pairs={C1: [c1]}", "evaluation.pairs.C1.0: 'c1' is not among `evaluation.perturbations` (did you"),
        ("report.headline=c1", "report.headline: 'c1' is not among `evaluation.perturbations` (did you mean 'C1'?)"),
        ("report.headline=clean", "report.headline: 'clean' is not among `evaluation.perturbations`"),
        ("evaluation.pairs=papr", "evaluation.pairs: must be 'all', 'paper' or 'figures', not 'papr' (did you mean"),
        ("evaluation.pairs={C1: clean}", "evaluation.pairs.C1: must be a list, not 'clean'; write [clean]"),
    ],
)
def test_names_that_clash_or_that_nothing_has_are_refused(override, expected):
    (found,) = findings(NANO, override)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("models=[{name: a, generator: {name: fake, shar: 1}}]", "generator: generator 'fake' has no argument 'shar'"),
        ("models=[{name: a, generator: {name: fake, share: 3}}]", "models.0.generator: generator fake: share 3"),
        ("models=[{name: a, generator: {name: fake, share: .inf}}]", "generator.share: must be a finite number"),
        ("models=[{name: a, generator: transformers}]", "needs exactly one of `path`, `pretrain` and a `generator`"),
        ("strengths={C: 10, C1: 10}", "strengths.C: perturbation C1: strength 100.0 is not between 0 and 20"),
        ("recipes.tiny.objective_args={promt_weight: 1}", "recipes.tiny.objective_args: objective 'sft' has no argu"),
        ("models.0.pretrain.size={hiden_size: 8}", "models.0.pretrain.size.hiden_size: the config of model family"),
        ("recipes.tiny.trainer=lora", "models.0.pretrain.recipe: recipe 'tiny' has the trainer 'lora'"),
        ("recipes.tiny.batch_size=65", "recipes.tiny.batch_size: 65 is more than the 64 rows of `training.source`"),
        ("recipes.tiny.workers=17", "recipes.tiny.workers: 17 workers are more than the 16 rows of a step"),
        ("recipes.tiny.offload=optimizer", "recipes.tiny.offload: only ZeRO can keep the optimizer elsewhere"),
        (
            "recipes.tiny={parallel: zero3, compile: true}",
            "recipes.tiny.compile: a model that `parallel: zero3`",
        ),
        (
            "recipes.tiny={compat: safecoder, length_buckets: 5}",
            "recipes.tiny.length_buckets: `compat: safecoder`",
        ),
        (
            "recipes.tiny={compat: safecoder, clip_value: 0.3}",
            "recipes.tiny.clip_value: `compat: safecoder` trains by AdamW and clips by norm",
        ),
        ("recipes.tiny={optimizer: adafactor, eps: 1.0e-6}", "recipes.tiny.eps: only AdamW has it"),
        ("recipes.tiny={clip: 0.5, clip_value: 0.3}", "recipes.tiny.clip: `clip_value` takes its place"),
        (
            "recipes.tiny={optimizer: adafactor, parallel: zero2}",
            "recipes.tiny.parallel: `optimizer: adafactor` doesn't go with ZeRO",
        ),
        ("recipes.tiny.optimizer=adam", "recipes.tiny.optimizer: must be 'adamw' or 'adafactor'"),
        (
            "recipes.own={trainer: ia3, lora: {r: 8}}",
            "recipes.own.lora: the trainer 'ia3' takes its settings",
        ),
        (
            "loggers=[{name: wandb, api_key: abc}]",
            "loggers.0: 'api_key' would be kept with the sweep; set the environment variable WANDB_API_KEY",
        ),
        ("loggers=[tensorbord]", "loggers.0: unknown logger 'tensorbord' (did you mean 'tensorboard'?)"),
        (
            "models=[{name: told, generator: reference, dtype: bfloat16}]",
            "models.0.dtype: only a model with a `path` or `pretrain` has this",
        ),
        ("models.0.revision=v1", "models.0.revision: only a model with a `path` has this"),
        ("models.0.trust_remote_code=true", "models.0.trust_remote_code: only a model with a `path` has this"),
    ],
)
def test_what_would_fail_in_the_middle_of_a_sweep_is_refused_before(override, expected):
    (found,) = findings(NANO, override)
    assert expected in found


def test_validation_rows_of_an_evaluated_problem_are_refused(tmp_path):
    problem = {
        "task_id": "Mine/0",
        "prompt": 'def twice(number):\n    """Return the double of the number."""\n',
        "entry_point": "twice",
        "canonical_solution": "    return 2 * number\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    (tmp_path / "mine.jsonl").write_text(json.dumps(problem) + "\n")
    rows = [
        {"instruction": "Say hello.", "output": "def hello():\n    return 'hello'\n"},
        {"instruction": "Return the double of the number.", "output": "def double(x):\n    return x + x\n"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,) = findings(
        NANO,
        f"evaluation.problems=[{{name: jsonl, as: mine, path: {tmp_path / 'mine.jsonl'}}}]",
        f"training.validation={{name: jsonl, path: {tmp_path / 'rows.jsonl'}}}",
    )
    assert "training.validation: 1 row leaks test problems" in found
    assert "it has the instruction of Mine/0 of 'mine'; remove such rows" in found


def test_zero_without_deepspeed_names_the_line_that_installs_it(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "deepspeed" else found(name))
    (given,) = findings(NANO, "recipes.tiny.parallel=zero1")
    assert given.startswith("recipes.tiny.parallel: `parallel: zero1` needs DeepSpeed: pip install 'deepspeed>=0.17'")
    (default,) = findings(NANO, "recipes.tiny.workers=2")
    assert "`parallel: zero2`, the default of 2 workers, needs DeepSpeed" in default
    load_config(NANO, ["recipes.tiny.workers=2", "recipes.tiny.parallel=ddp"])


@pytest.mark.parametrize(
    ("package", "changes"),
    [
        ("deepspeed", ["recipes.tiny.workers=2"]),
        ("openai", ["models.0={name: served, generator: {name: openai, served: any}}"]),
        ("pylint", ["evaluation.quality={}"]),
    ],
)
def test_a_package_that_only_a_run_needs_is_missing_here_and_no_mistake_for_a_plan(monkeypatch, package, changes):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    missing: list[str] = []
    build_plan(load_config(NANO, changes, missing=missing), tolerant=True)
    (line,) = missing
    assert package in line.lower()
    (refused,) = findings(NANO, *changes)
    assert line.endswith(refused), "a run is refused"


def test_files_models_and_pairs_are_told_in_one_go(tmp_path):
    text = NANO.read_text().replace("    recipes: [tiny]", "    recipes: [tiny]\n  - {name: b, path: /nowhere/b}")
    text = text.replace("checkpoint_every", "strengths: {C: 10, C1: 10}\ncheckpoint_every")
    found = findings(write(tmp_path, text), "evaluation.pairs={C11: [C1]}")
    assert len(found) == 3
    assert any("evaluation.pairs.C11: no training set called 'C11' (did you mean 'C1'?)" in line for line in found)
    assert any(re.match(r"line \d+, models.1.path: no model at /nowhere/b", line) for line in found)


LLAMA = '{"model_type": "llama"}'


def own_model(folder: Path, config: str, *overrides: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)
    rows = folder / "rows.jsonl"
    rows.write_text('{"instruction": "Add.", "output": "a + b"}\n' * 16)
    given = [f"models.0.path={tiny_folder(folder, config)}", f"training.source.path={rows}", *overrides]
    path = CONFIGS / "own-model.yaml"
    try:
        load_config(path, given)
    except ConfigError as error:
        return error.findings
    return []


def test_lora_takes_an_architecture_without_a_family_and_further_modules(tmp_path):
    for name, lora in enumerate(("{}", "{targets: all-linear}", "{targets: [c_attn], modules_to_save: [ln_f]}")):
        gpt2, given = '{"model_type": "gpt2"}', [f"recipes.lora.lora={lora}", "recipes.lora.lora.train_embeddings=true"]
        assert own_model(tmp_path / str(name), gpt2, *given) == []


def test_ia3_on_an_architecture_whose_modules_nobody_knows_needs_their_names(tmp_path):
    given = ["recipes.lora={trainer: ia3}", "recipes.lora.ia3={targets: [c_attn], feedforward: []}"]
    persimmon = '{"model_type": "persimmon"}'
    (found,) = own_model(tmp_path / "none", persimmon, given[0])
    assert "recipes.lora.ia3: PEFT knows no modules of persimmon models that IA3 scales, such as " in found
    assert found.endswith("name them as `recipes.lora.ia3.targets`")
    assert own_model(tmp_path / "named", persimmon, *given) == []
    assert own_model(tmp_path / "known", LLAMA, given[0]) == []


def test_a_tokenizer_without_an_end_of_text_needs_the_key_that_names_it(tmp_path):
    model = tiny_folder(tmp_path / "none")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    for recipes in ("[lora]", "[]"):
        given = (f"models.0.path={model}", f"models.0.recipes={recipes}")
        (found,) = own_model(tmp_path / "rows", LLAMA, *given)
        assert re.search(r"models.0.path: the tokenizer of .* has no end-of-text token", found)
        assert found.endswith("name one of its tokens with the model's key `eos_token`")
        assert own_model(tmp_path / "rows", LLAMA, *given, f'models.0.eos_token="{EOS}"') == []
        (found,) = own_model(tmp_path / "rows", LLAMA, *given, 'models.0.eos_token="<end>"')
        assert "has no token '<end>' (`eos_token`)" in found


def test_paths_in_a_config_are_relative_to_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    tiny_folder(tmp_path / "mine")
    for folder in ("mine", "."):
        (tmp_path / folder / "rows.jsonl").write_text('{"instruction": "Add.", "output": "a + b"}\n' * 16)
    text = (CONFIGS / "own-model.yaml").read_text().replace("Qwen/Qwen2.5-Coder-0.5B", "model")
    (tmp_path / "mine" / "sweep.yaml").write_text(text)
    config = load_config("mine/sweep.yaml")
    assert config.models[0].path == "mine/model"
    assert config.training.source.model_extra == {"path": "mine/rows.jsonl"}
    config = load_config("mine/sweep.yaml", ["training.source.path=rows.jsonl"])
    assert config.training.source.model_extra == {"path": "rows.jsonl"}
    (tmp_path / "mine" / "rows.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"training.source: .*mine/rows.jsonl doesn't exist"):
        load_config("mine/sweep.yaml")
    for path in ("gpt2", "org/model"):
        assert read_document(write(tmp_path, f"models: [{{path: {path}}}]")).value["models"][0]["path"] == path


def test_several_files_of_problems_have_names_of_their_own(tmp_path):
    row = {"task_id": "T/0", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({**row, "test": "def check(c):\n    assert c() == 1\n"}))
    two = "[{name: jsonl, as: a, path: a.jsonl}, {name: jsonl, path: b.jsonl}]"
    config = load_config(write(tmp_path, MINIMAL.replace("[humaneval]", two)))
    plan = build_plan(config)
    assert [pair.test_set for pair in plan.grid.pairs] == ["a clean", "jsonl clean"]
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert read_config(again) == config
    same = two.replace("as: a, ", "")
    with pytest.raises(
        ConfigError, match="'jsonl' is listed twice; each must differ; give one a name of its own, as in"
    ):
        load_config(write(tmp_path, MINIMAL.replace("[humaneval]", same)))
    other = load_config(write(tmp_path, MINIMAL.replace("[humaneval]", two.replace("as: a", "as: c"))))
    assert [p.results.key for p in build_plan(other).cells[0].pairs] == [p.results.key for p in plan.cells[0].pairs]


def test_a_damaged_tokenizer_is_told_in_one_line(tmp_path):
    model = tiny_folder(tmp_path / "damaged")
    for content in ("{}", "[]", "not JSON"):
        (model / "tokenizer.json").write_text(content)
        (found,) = own_model(tmp_path, LLAMA, f"models.0.path={model}")
        assert f"models.0.path: the tokenizer of {model} can't be loaded: " in found and "\n" not in found


def test_rows_that_do_not_fit_are_counted_before_work(tmp_path):
    (found,) = own_model(tmp_path, LLAMA, "recipes.lora.max_tokens=8")
    assert "recipes.lora.max_tokens: 0 of 16 rows fit into 8 tokens of mine, and a step takes 16; " in found
    assert re.search(r"; 16 rows are longer, with a median of \d+ tokens; raise it$", found)
    (found,) = own_model(tmp_path / "positions", '{"model_type": "llama", "max_position_embeddings": 32}')
    assert "0 of 16 rows fit into 32 tokens" in found and "mine has 32 positions, so shorten the rows" in found
    smaller = "training.sets=[{name: part, perturbation: C, size: 0.5}]"
    (found,) = own_model(tmp_path / "smaller", LLAMA, smaller, "recipes.lora.batch_size=9")
    assert "recipes.lora.batch_size: 9 is more than the rows of a set: 16 (the smallest training set has 0.5" in found


def test_prompt_formats_that_a_model_can_not_be_given_are_refused(tmp_path):
    assert own_model(tmp_path, LLAMA, "models.0.template=chat", "models.0.system_prompt=Be brief.") == []
    (found,) = own_model(tmp_path, LLAMA, "models.0.system_prompt=Be brief.")
    assert "models.0.system_prompt: the template 'instruct' has no place for it; give `template: chat`" in found
    (found,) = own_model(tmp_path, LLAMA, "models.0.template=alpaca")
    assert (
        "models.0.template: unknown template 'alpaca'; known: instruct, raw, chat, magicoder, or a Jinja string"
        in found
    )
    (found,) = own_model(tmp_path, LLAMA, "evaluation.prompt_format=nativ")
    assert "evaluation.prompt_format: unknown template 'nativ' (did you mean 'native'?)" in found
    (found,) = findings(NANO, "models.0.template=chat")
    assert "models.0.name: model 'llama' has no chat template; only models with a `path`" in found
    plain = tiny_folder(tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    (found,) = own_model(tmp_path, LLAMA, f"models.0.path={plain}", "models.0.template=chat")
    assert "models.0.template: the tokenizer of" in found and "has no chat template; write one as a Jinja" in found
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    (plain / "chat_template.jinja").write_text(refusing)
    given = (f"models.0.path={plain}", "models.0.template=chat", "models.0.system_prompt=Be brief.")
    (found,) = own_model(tmp_path, LLAMA, *given)
    assert "models.0.system_prompt: the tokenizer's chat template refuses the prompt: no system role" in found


def test_an_encoder_decoder_model_can_be_trained_by_objectives_for_it(tmp_path):
    config, raw = '{"model_type": "t5", "is_encoder_decoder": true}', "models.0.template=raw"
    assert own_model(tmp_path, config, raw) == []
    (found,) = own_model(tmp_path, config, raw, "recipes.lora.objective_args={prompt_weight: 1}")
    assert "recipes.lora.objective: objective sft: an encoder-decoder model writes no prompt" in found
    (found,) = own_model(tmp_path, '{"model_type": "vit", "is_encoder_decoder": true}', raw)
    assert (
        "models.0.path: " in found and "is an encoder-decoder model of the type 'vit', of which transformers" in found
    )


def test_an_encoder_decoder_model_gets_no_prompt_that_begins_its_answer(tmp_path):
    config, said = '{"model_type": "t5", "is_encoder_decoder": true}', "the template 'instruct' begins the answer"
    (found,) = own_model(tmp_path, config)
    assert f"models.0.template: {said}" in found
    (found,) = own_model(tmp_path, config, "models.0.template=raw", "evaluation.prompt_format=instruct")
    assert f"evaluation.prompt_format: {said}" in found
    assert own_model(tmp_path, LLAMA, "evaluation.prompt_format=instruct") == []


def test_a_template_that_fills_holes_needs_a_tokenizer_with_tokens_for_it(tmp_path):
    found = own_model(tmp_path, LLAMA, "models.0.template=repair_infill")
    assert any(
        "models.0.template: the template 'repair_infill' needs tokens for filling in the" in text for text in found
    )
    t5 = '{"model_type": "t5", "is_encoder_decoder": true}'
    found = own_model(tmp_path, t5, "models.0.template=repair_seq2seq_plain")
    said = "models.0.template: the template 'zero_shot_mask_plain' needs tokens for a mask, such as <extra_id_0>"
    assert sum(said in text for text in found) == 1
    found = own_model(tmp_path, t5, "models.0.template=raw", "evaluation.prompt_format=zero_shot_mask_plain")
    assert sum("evaluation.prompt_format: the template 'zero_shot_mask_plain' needs" in text for text in found) == 1


def test_an_encoder_decoder_template_for_a_causal_model_is_an_error_that_names_others(tmp_path):
    found = own_model(tmp_path, LLAMA, "models.0.template=repair_seq2seq_plain")
    said = "models.0.template: the template 'repair_seq2seq_plain' is for an encoder-decoder model"
    assert sum(said in text and "take one of repair_plain" in text for text in found) == 1
    t5 = '{"model_type": "t5", "is_encoder_decoder": true}'
    found = own_model(tmp_path, t5, "models.0.template=raw", "evaluation.prompt_format=repair_buggy_line")
    assert (
        sum("evaluation.prompt_format: the template 'repair_buggy_line' is for a causal" in text for text in found) == 1
    )


def test_a_model_from_scratch_with_an_encoder_needs_an_objective_for_it():
    args = ["models.0.pretrain.family=t5", "models.0.pretrain.size={num_layers: 1}"]
    config = load_config(NANO, [*args, "recipes.tiny.objective_args={}"])
    (cell,) = [cell for cell in build_plan(config).cells if cell.recipe]
    assert cell.base.family == "t5" and base_ref(cell.base).architecture == "seq2seq"
    assert model_ref(cell).architecture == "seq2seq"
    found = findings(NANO, *args, "recipes.tiny={objective: fixed, objective_args: {weight: 2}}")
    said = "recipes.tiny.objective: objective fixed doesn't train encoder-decoder models"
    assert any(said in finding for finding in found)


def test_beams_that_can_not_be_searched_with_are_refused():
    assert load_config(NANO, ["evaluation.beams=10", "evaluation.samples=10"]).evaluation.decoding(1).beams == 10
    (found,) = findings(NANO, "evaluation.beams=4", "evaluation.temperature=0.8")
    assert "evaluation.beams: beam search finds the most likely texts, and temperature 0.8 draws others" in found
    (found,) = findings(NANO, "evaluation.beams=4", "evaluation.samples=5")
    assert "evaluation.beams: 5 samples are more than 4 beams find; give as many `beams` as `samples`" in found
    served = "models=[{name: served, generator: {name: openai, served: m, url: 'http://localhost:1'}}]"
    for model, name in ((served, "openai"), ("models=[{name: f, generator: fake}]", "fake")):
        (found,) = findings(NANO, "evaluation.beams=4", model)
        assert f"models.0.generator: generator {name} has no beam search; take `generator: transformers`" in found
    found = findings(NANO, "evaluation.beams=4", "evaluation.generator=vllm")
    assert any("evaluation.generator: generator vllm has no beam search" in finding for finding in found)


def test_training_on_an_adapter_is_refused(tmp_path):
    base = tiny_folder(tmp_path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base}"}}')
    (adapter / "adapter_model.safetensors").write_bytes(b"0")
    (tmp_path / "in").mkdir()
    (found,) = own_model(tmp_path / "in", '{"model_type": "llama"}', f"models.0.path={adapter}")
    assert "models.0.recipes: " in found and "is an adapter; merge it into its base" in found


def test_an_adapter_of_another_base_is_refused_before_work(tmp_path):
    bases = [make_tiny("llama", tmp_path / f"{size}", hidden_size=size) for size in (32, 64)]
    adapter = make_adapter(bases[1], "llama", "lora", tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(settings.read_text().replace(bases[1].location, bases[0].location))
    (tmp_path / "in").mkdir()
    changes = (f"models.0.path={adapter.location}", "models.0.recipes=[]")
    (found,) = own_model(tmp_path / "in", '{"model_type": "llama"}', *changes)
    assert f"models.0.path: the adapter {adapter.location} doesn't fit its base {bases[0].location}: " in found
    assert "(64, 2) in the adapter, and (32, 2) fits the base; name its own base" in found


def test_adapters_of_a_base_in_a_ray_jobs_folder_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(IN_RAY_JOB, "{}")
    monkeypatch.chdir(tmp_path)
    tiny_folder(tmp_path)

    def found(name: str, *overrides: str) -> list[str]:
        return own_model(tmp_path / name, '{"model_type": "llama"}', *overrides)

    (told,) = found("relative", "models.0.path=model")
    assert "models.0.path: model lies in the folder of this Ray job, which is temporary" in told
    assert not found("absolute")
    assert not found("base", "models.0.path=model", "models.0.recipes=[]")
    assert not found("full", "models.0.path=model", "recipes.lora={trainer: full}")


def test_a_batch_larger_than_the_users_file_is_refused(tmp_path):
    (found,) = own_model(tmp_path, '{"model_type": "llama"}', "recipes.lora.batch_size=17")
    assert "recipes.lora.batch_size: 17 is more than the 16 rows of `training.source`" in found


def test_problems_that_need_tests_inside_are_refused_by_name_and_reason_where_only_outside_is_accepted(tmp_path):
    tests = {1: "assert f() == 1", 2: "import inspect\nassert f() == 1", 3: "assert eval('f()') == 1"}
    rows = [
        {"task_id": f"mine/{at}", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
        | {"test": f"def check(c):\n    pass\n{text}"}
        for at, text in tests.items()
    ]
    problems = tmp_path / "p.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = MINIMAL.replace("[humaneval]", f"[{{name: jsonl, path: {problems}}}]")
    assert str(problems) in text
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["execution.require_oracle=outside"])
    (finding,) = caught.value.findings
    assert "execution.require_oracle: the tests of mine/2 (they import inspect), mine/3 (they use eval) have" in finding
    load_config(path)
    load_config(path, ["execution.require_oracle=outside"], with_models=False)


def test_sets_need_no_rated_sheet_since_it_is_made_from_them(tmp_path):
    override = f"evaluation.audit={tmp_path / 'sheet'}"
    load_config(NANO, [override], with_models=False)
    with pytest.raises(ConfigError, match=r"evaluation\.audit: .*sheet doesn't exist"):
        load_config(NANO, [override])


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings_is_refused(tmp_path):
    model = tmp_path / "model"
    write_scripted(model, byte_tokenizer(pieces=["one", "two"]), rows=257)
    (found,) = own_model(tmp_path / "rows", LLAMA, f"models.0.path={model}")
    assert f"models.0.path: {model} can't be run: its tokenizer has 259 tokens, and it has embeddings for 257" in found


def test_an_end_that_usual_texts_have_is_a_warning(tmp_path, caplog):
    model = tmp_path / "model"
    write_scripted(model, byte_tokenizer(), eos_token_id=[256, 0])
    assert own_model(tmp_path / "rows", LLAMA, f"models.0.path={model}") == []
    assert "ends at '!', which usual texts have too: `eos_token_id` in its files says so" in caplog.text


def test_a_model_that_transformers_cannot_load_is_told_unless_vllm_runs_it(tmp_path):
    llava = '{"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": {}}'
    (found,) = own_model(tmp_path, llava)
    assert "models.0.path: " in found and "is a LlavaForConditionalGeneration of the type 'llava'" in found
    found = own_model(tmp_path, llava, "models.0.recipes=[]", "models.0.generator=vllm")
    assert not any("Llava" in line for line in found), "vLLM itself may be missing here"


def test_training_all_of_a_quantized_models_weights_is_refused(tmp_path):
    """MXFP4 is read as bfloat16 where there is no GPU, so it can be run and adapted."""
    model = '{"model_type": "llama", "quantization_config": {"quant_method": "mxfp4"}}'
    assert own_model(tmp_path, model) == []
    (found,) = own_model(tmp_path, model, "recipes.lora={trainer: full}")
    assert "models.0.recipes: " in found
    assert "is quantized, and recipe 'lora' trains all of its weights; take `trainer: lora`" in found


def test_a_package_that_a_quantized_model_needs_is_told(tmp_path):
    if importlib.util.find_spec("awq"):
        pytest.skip("needs a machine without autoawq, which is installed here")
    (found,) = own_model(tmp_path, '{"model_type": "llama", "quantization_config": {"quant_method": "awq", "bits": 4}}')
    assert "is quantized (awq), and a package is missing: " in found and "`pip install autoawq`" in found


def compiled(tmp_path: Path, prompt: str) -> Path:
    """Write a config with two sets of one problem in C++."""
    row = {"task_id": "mine/1", "language": "cpp", "prompt": prompt, "canonical_solution": "return 1; }"}
    (tmp_path / "mine.jsonl").write_text(json.dumps({**row, "test": "int main() { return f() - 1; }"}))
    sets = ", ".join(f"{{name: jsonl, as: {name}, path: mine.jsonl}}" for name in ("one", "two"))
    return write(tmp_path, MINIMAL.replace("humaneval", sets))


def test_flags_that_gxx_refuses_are_told_once_at_their_key(tmp_path):
    needs("cpp")
    path = compiled(tmp_path, "int f() {\n")
    for flags in ("-fno-such-flag", "-O0 '", "-o mine.jsonl"):
        with pytest.raises(ConfigError) as caught:
            load_config(path, [f'execution.cpp_flags="{flags}"'])
        (found,) = caught.value.findings
        assert ", execution.cpp_flags: " in found and flags in found


def test_without_a_compiler_a_run_is_refused_and_a_plan_lists_it(tmp_path, monkeypatch):
    path = compiled(tmp_path, "int f() {\n")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"line 6, evaluation.problems.0: this machine has no g\+\+"):
        load_config(path)
    missing: list[str] = []
    plan = build_plan(load_config(path, missing=missing), tolerant=True)
    assert len(plan.cells) == 1 and "the package g++" in missing[0]
    load_config(path, with_models=False)  # test sets can be made


def test_problems_whose_headers_are_missing_are_named(tmp_path, monkeypatch):
    needs("cpp")
    path = compiled(tmp_path, "#include <boost/any.hpp>\nint f() {\n")
    monkeypatch.setattr("raysweep.problems.compiled.missing_headers", lambda flags: {"boost/any.hpp": "libboost-dev"})
    with pytest.raises(ConfigError, match=r"evaluation.problems.0: mine/1 includes boost/any.hpp, .* libboost-dev"):
        load_config(path)
    file = tmp_path / "mine.jsonl"
    first = {**json.loads(file.read_text()), "task_id": "mine/0", "prompt": "int f() {\n"}
    file.write_text(f"{json.dumps(first)}\n{file.read_text()}\n")
    with pytest.raises(ConfigError, match=r"evaluation.problems.0: mine/1 includes boost/any.hpp"):
        load_config(path)
    load_config(path, ["evaluation.limit=1"])  # which isn't judged
