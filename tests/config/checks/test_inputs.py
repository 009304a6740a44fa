"""What a config names: it must fit together, and files and models must be there. All of it is told before work."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from raysweep.config.checks.quantized import adapter_doubts
from raysweep.config.document import ConfigError, read_document
from raysweep.config.loading import load_config, read_config, to_yaml
from raysweep.config.models import ModelConfig
from raysweep.errors import UsageError
from raysweep.models.finding import resolve
from raysweep.models.scratch import EOS
from raysweep.planning.planner import build_plan
from raysweep.stages.inputs import base_ref, model_ref
from raysweep.storage.store import IN_RAY_JOB
from tests.config.mistakes import (
    LLAMA,
    MINIMAL,
    ROWS,
    adapter_folder,
    findings,
    of_own_model,
    screen,
    tiny_folder,
    write,
)
from tests.execution.compiled.processes import needs
from tests.models.scripted import byte_tokenizer, write_scripted
from tests.models.test_versions import make_adapter
from tests.paths import CONFIGS, NANO
from tests.problems.bigcodebench_tasks import write_rows
from tests.tiny import make_tiny

ROW = {"instruction": "Add two numbers.", "output": "a + b"}
PROBLEM = {"task_id": "T/0", "prompt": "def f():\n", "entry_point": "f", "canonical_solution": "    return 1\n"}
PROBLEM["test"] = "def check(c):\n    assert c() == 1\n"
SERVED = "models=[{name: served, generator: {name: openai, served: m, url: 'http://localhost:1'}}]"
CLASHES = [
    "models.0.recipes=[tiny, tiny]",
    "seeds=[1, 2, 1]",
    "training.sets=[{name: base, perturbation: C1}]",
    "training.sets=[C1, {name: control, perturbation: clean}]",
    "training.sets=[C1, C2, C1]",
    "training.sets=[{name: union, perturbation: W1, size: 1.01}]",
    "evaluation.problems=[humaneval, humaneval]",
    "evaluation.pairs={C1: [C1, C1]}",
    "evaluation.pairs={claen: [C1]}",
    "evaluation.pairs={C1: [c1]}",
    "report.headline=c1",
    "report.headline=clean",
]
TOO_LATE = [
    "models=[{name: a, generator: {name: fake, shar: 1}}]",
    "models=[{name: a, generator: {name: fake, share: 3}}]",
    "models=[{name: a, generator: {name: fake, share: .inf}}]",
    "models=[{name: a, generator: transformers}]",
    "models=[{name: told, generator: reference, dtype: bfloat16}]",
    "models.0.dtype=tf32",
    "models.0.revision=v1",
    "models.0.trust_remote_code=true",
    "models.0.template=chat",
    "models.0.pretrain.size={hiden_size: 8}",
    "strengths={C: 10, C1: 10}",
    "strengths={C11: 2}",
    "recipes.tiny.trainer=lora",
    "recipes.tiny.objective_args={promt_weight: 1}",
    "recipes.tiny.batch_size=65",
    "recipes.tiny.workers=17",
    "recipes.tiny.precision=tf32",
    "recipes.tiny.offload=optimizer",
    "recipes.tiny={parallel: zero3, compile: true}",
    "recipes.tiny={compat: safecoder, length_buckets: 5}",
    "recipes.tiny={compat: safecoder, clip_value: 0.3}",
    "recipes.tiny={optimizer: adafactor, eps: 1.0e-6}",
    "recipes.tiny={optimizer: adafactor, parallel: zero2}",
    "recipes.tiny={clip: 0.5, clip_value: 0.3}",
    "recipes.own={trainer: ia3, lora: {r: 8}}",
    "recipes.tiny.loss_on=first",
    "recipes.tiny={objective: dpo, loss_on: all}",
    "loggers=[{name: wandb, api_key: abc}]",
    "loggers=[tensorbord]",
    "evaluation.generator=fake",
    "evaluation.generator={name: transformers, merged: 1}",
    "evaluation.generator={name: transformers, batch_tokens: 1}",
    ["evaluation.beams=4", "evaluation.temperature=0.8"],
    ["evaluation.beams=4", "evaluation.samples=5"],
    ["evaluation.beams=4", SERVED],
    [SERVED, "models.0.system_prompt=Be brief."],
    [SERVED, "models.0.template_arguments={enable_thinking: false}"],
    ["models=[{name: f, generator: fake}]", "models.0.system_prompt=Be brief."],
    "models=[{name: f, generator: fake, attention: eager}]",
    "evaluation.generator={name: transformers, tensor_parallel: 2}",
    ["evaluation.beams=4", "models=[{name: f, generator: fake}]"],
]


def test_names_that_clash_or_that_nothing_has_are_refused(snapshot):
    assert screen(CLASHES) == snapshot


def test_what_would_fail_in_the_middle_of_a_sweep_is_refused_before(snapshot):
    assert screen(TOO_LATE) == snapshot


@pytest.mark.parametrize("generator", ["reference", "fake"])
def test_problems_without_the_solution_that_a_generator_answers_with_are_told_before_work(generator, tmp_path):
    file, rows = tmp_path / "problems.jsonl", [PROBLEM, {**PROBLEM, "task_id": "T/1", "canonical_solution": None}]
    changes = [
        f"models=[{{name: told, generator: {generator}}}]",
        f"evaluation.problems=[{{name: jsonl, path: {file}}}]",
        "evaluation.generator=transformers",
        "recipes={}",
        "training=null",
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (told,) = findings(NANO, *changes)
    assert "T/1 has no reference solution (`canonical_solution`), with which told answers; add it, take such" in told
    load_config(NANO, [*changes, "evaluation.limit=1"])
    for mended in (rows[:1], [PROBLEM, {**PROBLEM, "task_id": "T/1"}]):
        file.write_text("".join(json.dumps(row) + "\n" for row in mended))
        load_config(NANO, changes)


def test_a_part_of_which_no_check_tells_is_told_all_the_same(monkeypatch):
    def odd(sets):
        raise UsageError("an odd part")

    monkeypatch.setattr("raysweep.config.checks.inputs.DeveloperPatches", odd)
    assert findings(NANO) == ["line 4, the config: an odd part"]


def test_a_set_may_have_a_row_for_each_row_and_method():
    load_config(NANO, ["training.sets=[{name: all, perturbation: W1, size: 1.0}]"])
    load_config(NANO, ["training.sets=[{name: all, perturbation: C, compose: union, size: 3}]"])


IN_FILES = [
    ("rows.jsonl", json.dumps(ROW) + '\n{"instruction": "a", \n'),
    ("rows.jsonl", '{"prompt": "a", "output": "b"}\n'),
    ("rows.jsonl", '{"instruction": "a"}\n'),
    ("rows.jsonl", '{"instruction": 3, "output": "b"}\n'),
    ("rows.jsonl", ""),
    ("problems.jsonl", json.dumps({**PROBLEM, "test": ""})),
    ("problems.jsonl", json.dumps({**PROBLEM, "test": "def check(c) assert"})),
    ("problems.jsonl", json.dumps({**PROBLEM, "entry_point": None})),
    ("problems.jsonl", (json.dumps(PROBLEM) + "\n") * 2),
    ("problems.jsonl", "not JSON"),
]


def test_a_mistake_in_a_file_of_rows_or_problems_is_told_with_its_line(tmp_path, monkeypatch, snapshot):
    monkeypatch.chdir(tmp_path)

    def told(name: str, content: str) -> list[str]:
        Path("rows.jsonl").write_text(ROWS)
        Path("problems.jsonl").write_text(json.dumps(PROBLEM))
        Path(name).write_text(content)
        files = (
            "training.source={name: jsonl, path: rows.jsonl}",
            "evaluation.problems.0={name: jsonl, path: problems.jsonl}",
        )
        return findings(NANO, *files)

    assert screen(IN_FILES, told) == snapshot


def test_a_data_set_that_is_none_is_refused():
    (found,) = findings(NANO, "training.source={name: hf, path: /}")
    assert "training.source: data set /: " in found and "can't be read" in found


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


def test_flash_attention_needs_its_package_a_gpu_and_16_bits(monkeypatch):
    asked, found = "models.0.attention=flash_attention_2", importlib.util.find_spec
    has = {"flash_attn": importlib.util.find_spec("torch")}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: has[name] if name in has else found(name))
    told = findings(NANO, asked)
    for where, what in (
        ("models.0.attention", "flash_attention_2 runs on GPUs alone; ask for one (`resources.gpus: 1`), or take"),
        ("models.0.attention", "write the model's `dtype: bfloat16`, not float32, or take `attention: sdpa`, whose"),
        ("recipes.tiny.precision", "write `precision: bf16`, not float32"),
    ):
        (line,) = (line for line in told if f"{where}: " in line and what in line)
        told.remove(line)
    assert told == []
    right = [asked, "resources.gpus=1", "models.0.dtype=bfloat16", "recipes.tiny.precision=bf16"]
    load_config(NANO, right, missing=[])
    has["flash_attn"] = None
    missing: list[str] = []
    load_config(NANO, right, missing=missing)
    assert any("needs the package flash_attn where it runs: `pip install flash-attn" in line for line in missing)


@pytest.mark.parametrize(
    ("number", "resources", "said"),
    [
        (4, "{gpus: 1}", "generation asks for 1; give it `resources.generation.gpus: 4`, or `auto`"),
        (4, "{}", "generation asks for 0; give it `resources.generation.gpus: 4`"),
        (0, "{gpus: 1}", "`tensor_parallel: 0` is no number of GPUs; give 1 or more"),
        (2, "{gpus: 1, generation: {gpus: 2}, processes: trial}", "a model writes on those of a training; leave that"),
        (4, "{gpus: 1, generation: {gpus: 4}}", ""),
        (4, "{gpus: auto}", ""),
        (1, "{gpus: 1}", ""),
    ],
)
def test_gpus_that_share_a_model_must_be_those_that_its_generation_has(number, resources, said):
    given = [f"evaluation.generator={{name: vllm, python: /nowhere, tensor_parallel: {number}}}"]
    given += [f"resources={resources}", "models.0.dtype=bfloat16"]
    if not said:
        load_config(NANO, given, missing=[])
        return
    with pytest.raises(ConfigError) as told:
        load_config(NANO, given, missing=[])
    (line,) = told.value.findings
    assert "evaluation.generator: " in line and said in line


def test_gpus_that_share_a_model_have_equally_many_heads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = "models.0.generator={name: vllm, python: /nowhere, tensor_parallel: "
    sizes = {"num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 320, "max_position_embeddings": 512}
    for heads, shared, fitting in ((6, 6, "1, 2, 3, 6"), (40, 8, "1, 2, 4, 8, 40"), (6, 1, "1, 2, 3, 6")):
        has = {"hidden_size": 8 * heads, "num_attention_heads": heads, "num_key_value_heads": shared}
        config = json.dumps({"model_type": "llama", **sizes, **has})
        for number in (2, 4, 5, 8):
            told = of_own_model(config, f"{generator}{number}}}", "resources.gpus=auto", "models.0.dtype=bfloat16")
            why = f"{heads} attention heads and {shared} key-value heads, of which {number} GPUs can't have equally"
            said = [line for line in told if why in line]
            assert bool(said) is (str(number) not in fitting.split(", "))
            assert all(line.endswith(f"give one of {fitting}") for line in said)


def test_attention_beside_vllm_counts_in_trainings_alone(caplog):
    given = ["evaluation.generator={name: vllm, python: /nowhere}", "models.0.attention=eager"]
    (told,) = (line for line in findings(NANO, *given, "models.0.recipes=[]") if "attention" in line)
    assert told.startswith("models.0.attention: generator vllm computes attention in its own way; leave it out")
    caplog.clear()
    with caplog.at_level("WARNING", "raysweep"):
        load_config(NANO, given, missing=[])
    assert "it counts in trainings alone: generator vllm has its own" in caplog.text


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
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        load_config(NANO, [*changes, "seeed=1"], missing=[])


def test_files_models_and_pairs_are_told_in_one_go(tmp_path):
    text = NANO.read_text().replace("    recipes: [tiny]", "    recipes: [tiny]\n  - {name: b, path: /nowhere/b}")
    text = text.replace("checkpoint_every", "strengths: {C: 10, C1: 10}\ncheckpoint_every")
    found = findings(write(tmp_path, text), "evaluation.pairs={C11: [C1]}")
    assert len(found) == 3
    assert any("evaluation.pairs.C11: no training set called 'C11' (did you mean 'C1'?)" in line for line in found)
    assert any(re.match(r"line \d+, models.1.path: no model at /nowhere/b", line) for line in found)


T5 = '{"model_type": "t5", "is_encoder_decoder": true}'
RAW = "models.0.template=raw"
LLAVA = '{"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": {}}'
QUANTIZED = '{"model_type": "llama", "quantization_config": {"quant_method": "mxfp4"}}'
"""MXFP4 is read as bfloat16 where there is no GPU, so it can be run and adapted."""
NF4 = "models.0.quantize=nf4"
AWQ = '{"model_type": "llama", "quantization_config": {"quant_method": "awq", "bits": 4}}'
IA3 = "recipes.lora={trainer: ia3}"
IA3_MODULES = "recipes.lora.ia3={targets: [c_attn], feedforward: []}"
ILL_SUITED = [
    ("{",),
    (LLAMA, "recipes.lora.max_tokens=8"),
    ('{"model_type": "llama", "max_position_embeddings": 32}',),
    (LLAMA, "training.sets=[{name: part, perturbation: C, size: 0.5}]", "recipes.lora.batch_size=9"),
    (LLAMA, "recipes.lora.batch_size=17"),
    (LLAMA, "recipes.lora.objective=dpo", "training.source.rejected={field: wrong}"),
    (LLAMA, "models.0.system_prompt=Be brief."),
    (LLAMA, "models.0.system_prompt=Be brief.", "models.0.template='{{ instruction }}'"),
    (LLAMA, "models.0.template_arguments={enable_thinking: false}"),
    (LLAMA, "models.0.template_arguments={enable_thinking: false}", "models.0.template=chat"),
    (LLAMA, "models.0.template_arguments={tools: [a]}", "models.0.template=chat"),
    (LLAMA, "models.0.template=alpaca"),
    (LLAMA, "models.0.template=chatt"),
    (LLAMA, "models.0.template='{{ prompt }}'"),
    (LLAMA, "evaluation.prompt_format=nativ"),
    (LLAMA, "models.0.template=repair_infill"),
    (LLAMA, "models.0.template=repair_seq2seq_plain"),
    (LLAMA, 'models.0.eos_token="<end>"'),
    (T5,),
    (T5, RAW, "recipes.lora.objective_args={prompt_weight: 1}"),
    (T5, RAW, "recipes.lora.loss_on=all"),
    (T5, RAW, "models.0.attention=sdpa"),
    (T5, RAW, "evaluation.prompt_format=instruct"),
    (T5, RAW, "evaluation.prompt_format=zero_shot_mask_plain"),
    (T5, RAW, "evaluation.prompt_format=repair_buggy_line"),
    (T5, "models.0.template=repair_seq2seq_plain"),
    ('{"model_type": "vit", "is_encoder_decoder": true}', RAW),
    ('{"model_type": "persimmon"}', IA3),
    (LLAVA,),
    (QUANTIZED, "recipes.lora={trainer: full}"),
    (QUANTIZED, NF4),
    (LLAMA, NF4, "recipes.lora={trainer: full}"),
    (LLAMA, NF4, "recipes.lora={trainer: rome}"),
    (LLAMA, NF4, "recipes.lora.parallel=zero3"),
    (LLAMA, "models.0.quantize=int8", "recipes.lora.kernels=fused"),
]


@pytest.mark.slow
def test_what_a_model_can_not_be_given_is_refused(tmp_path, monkeypatch, snapshot):
    monkeypatch.chdir(tmp_path)
    assert screen(ILL_SUITED, of_own_model) == snapshot


def test_rows_that_are_longer_than_a_models_positions_are_told_with_both_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = of_own_model('{"model_type": "llama", "max_position_embeddings": 32}', "recipes.lora.max_tokens=64")
    assert any("the recipe takes rows of up to 64 tokens, and mine has 32 positions" in line for line in found)


SUITED = [
    (LLAMA, "evaluation.prompt_format=instruct"),
    (LLAMA, "models.0.template=chat", "models.0.system_prompt=Be brief."),
    (LLAMA, IA3),
    (LLAMA, f'models.0.eos_token="{EOS}"'),
    ('{"model_type": "persimmon"}', IA3, IA3_MODULES),
    *(
        ('{"model_type": "gpt2"}', f"recipes.lora.lora={lora}", "recipes.lora.lora.train_embeddings=true")
        for lora in ("{}", "{targets: all-linear}", "{targets: [c_attn], modules_to_save: [ln_f]}")
    ),
    (T5, RAW),
    (QUANTIZED,),
    (LLAMA, NF4),
    (LLAMA, NF4, IA3),
    (LLAMA, NF4, "recipes.lora.kernels=fused"),
]


def test_what_a_model_can_be_given_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {given: found for given in SUITED if (found := of_own_model(*given))} == {}


ASKED = "problem set bigcodebench asks in words for a program, and model {!r} would go on with the words, as it sees "


def test_problems_that_ask_in_words_are_refused_where_a_model_goes_on_with_its_prompt(tmp_path, monkeypatch):
    """A template shows them as a question, a chat's server does so itself, and `reference` reads no prompt."""
    monkeypatch.chdir(tmp_path)
    set_there = f"name: bigcodebench, split: instruct, path: {write_rows(tmp_path / 'tasks.jsonl')}"
    given = f"evaluation.problems=[{{{set_there}, environment: here}}]"
    execution = f"execution.environments={{here: {sys.executable}}}"
    for where, *more in (
        ("evaluation.prompt_format",),
        ("models.0.template", RAW),
        ("evaluation.prompt_format", "evaluation.prompt_format=raw"),
    ):
        (told,) = of_own_model(LLAMA, given, execution, *more)
        assert re.search(rf"{where}: {ASKED.format('mine')}.*`chat`.* `split: complete`", told)
    for template in ("models.0.template=chat", "evaluation.prompt_format=instruct", "models.0.template=magicoder"):
        assert of_own_model(LLAMA, given, execution, template) == []
    assert of_own_model(LLAMA, given.replace("instruct", "complete"), execution) == []
    load_config(write(tmp_path, MINIMAL), [given, execution])
    load_config(write(tmp_path, MINIMAL), [given, execution, f"{SERVED[:-3]}, api: chat}}}}]"])
    told = findings(write(tmp_path, MINIMAL), given, execution, SERVED)
    assert any(ASKED.format("served") in line for line in told)
    (told,) = findings(write(tmp_path, MINIMAL), given.replace(", environment: here", ""))
    assert "evaluation.problems.0: its programs import many packages" in told and "`--environment PATH`" in told


def of_model_at(model: Path | str, *overrides: str) -> list[str]:
    """Return what is told of a model that lies elsewhere; the working directory gets another."""
    return of_own_model(LLAMA, f"models.0.path={model}", *overrides)


def test_a_tokenizer_without_an_end_of_text_needs_the_key_that_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_folder(tmp_path / "none")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    for recipes in ("models.0.recipes=[lora]", "models.0.recipes=[]"):
        (found,) = of_model_at(model, recipes)
        assert re.search(r"models.0.path: the tokenizer of .* has no end-of-text token", found)
        assert found.endswith("name one of its tokens with the model's key `eos_token`")
        assert of_model_at(model, recipes, f'models.0.eos_token="{EOS}"') == []


def test_a_chat_template_must_be_there_and_take_the_prompt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, chat = tiny_folder(tmp_path / "plain"), "models.0.template=chat"
    (model / "chat_template.jinja").unlink()
    (found,) = of_model_at(model, chat)
    assert "models.0.template: the tokenizer of" in found and "has no chat template; write one as a Jinja" in found
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    (model / "chat_template.jinja").write_text(refusing)
    (found,) = of_model_at(model, chat, "models.0.system_prompt=Be brief.")
    assert "models.0.system_prompt: the tokenizer's chat template refuses the prompt: no system role" in found
    assert found.endswith("or leave out the system text")
    (model / "chat_template.jinja").write_text(refusing + TAKING + "{{ enable_thinking }}")
    assert of_model_at(model, chat) == []
    assert of_model_at(model, chat, "models.0.template_arguments={enable_thinking: false}") == []
    (found,) = of_model_at(model, chat, "models.0.template_arguments={enable_thnking: false}")
    assert re.search(r"models.0.template_arguments.enable_thnking: the chat template of .* never reads", found)
    assert found.endswith("'enable_thnking' (did you mean 'enable_thinking'?); it reads enable_thinking")


TAKING = "{% for m in messages %}{{ m.content }}{% endfor %}"
REFUSED = {
    "of parts": ("{% for m in messages %}{% for p in m.content %}{{ p.t }}{% endfor %}{% endfor %}", "leaves out"),
    "with a mistake": ("{% for m in messages %}{{ m.content + 1 }}{% endfor %}", "refuses the prompt: can only conc"),
    "with names": ([{"name": "rag", "template": TAKING}], "refuses the prompt: This model has multiple chat templates"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_chat_template_that_cannot_show_a_question_is_told_and_another_one_is_taken(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (template, why), model = REFUSED[name], tiny_folder(tmp_path / "chat")
    (model / "chat_template.jinja").unlink()
    settings = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    (found,) = of_model_at(model, "models.0.template=chat")
    assert re.search(rf"models.0.template: the .*chat template .*{why}.*; .*`instruct`", found)
    assert of_model_at(model, "models.0.template=instruct") == []


def test_a_damaged_tokenizer_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_folder(tmp_path / "damaged")
    for content in ("{}", "[]", "not JSON"):
        (model / "tokenizer.json").write_text(content)
        (found,) = of_model_at(model)
        assert f"models.0.path: the tokenizer of {model} can't be loaded: " in found and "\n" not in found


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "wide"
    write_scripted(model, byte_tokenizer(pieces=["one", "two"]), rows=257)
    (found,) = of_model_at(model)
    assert f"models.0.path: {model} can't be run: its tokenizer has 259 tokens, and it has embeddings for 257" in found


def test_vllm_runs_what_transformers_cannot_load_and_has_no_beam_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = of_own_model(LLAVA, "models.0.recipes=[]", "models.0.generator=vllm")
    assert not any("Llava" in line for line in found), "vLLM itself may be missing here"
    found = of_own_model(AWQ, "models.0.recipes=[]", "models.0.generator=vllm")
    assert not any("awq" in line for line in found)
    found = of_own_model(LLAMA, NF4, "models.0.generator=vllm")
    assert any("models.0.quantize: generator vllm takes weights as files have them" in line for line in found)
    found = findings(NANO, "evaluation.beams=4", "evaluation.generator=vllm")
    assert any("evaluation.generator: generator vllm has no beam search" in finding for finding in found)
    assert load_config(NANO, ["evaluation.beams=10", "evaluation.samples=10"]).evaluation.decoding(1).beams == 10


def test_a_package_that_a_quantized_model_needs_is_told(tmp_path, monkeypatch):
    if importlib.util.find_spec("awq"):
        pytest.skip("needs a machine without autoawq, which is installed here")
    monkeypatch.chdir(tmp_path)
    (found,) = of_own_model(AWQ)
    assert "is quantized (awq), and a package is missing: " in found and "`pip install autoawq`" in found


@pytest.mark.parametrize(
    ("held", "quantize", "told"),
    [
        (
            "load_in_4bit: True\nbnb_4bit_quant_type: nf4",
            None,
            "base in nf4, .* that is whole; `quantize: nf4` holds",
        ),
        (
            "load_in_4bit: True\nbnb_4bit_quant_type: fp4",
            "nf4",
            "base in fp4, .* in `quantize: nf4`; raysweep has no",
        ),
        ("load_in_8bit: true", "int8", None),
        ("", "nf4", None),
    ],
)
def test_an_adapter_that_was_trained_on_a_base_in_few_bits_is_told(held, quantize, told, tmp_path):
    adapter = adapter_folder(tmp_path)
    (adapter / "README.md").write_text(held)
    doubts = list(
        adapter_doubts(ModelConfig(name="m", path=str(adapter), quantize=quantize), resolve(str(adapter)), {})
    )
    assert len(doubts) == bool(told) and all(re.search(str(told), doubt) for doubt in doubts)


def test_training_on_an_adapter_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (found,) = of_model_at(adapter_folder(tmp_path))
    assert "models.0.recipes: " in found and "is an adapter; merge it into its base" in found


def test_paths_in_a_config_are_relative_to_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    tiny_folder(tmp_path / "mine")
    for folder in ("mine", "."):
        (tmp_path / folder / "rows.jsonl").write_text(ROWS)
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
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(PROBLEM))
    two = "[{name: jsonl, as: a, path: a.jsonl}, {name: jsonl, path: b.jsonl}]"
    config = load_config(write(tmp_path, MINIMAL.replace("[humaneval]", two)))
    plan = build_plan(config)
    assert [pair.test_set for pair in plan.grid.pairs] == ["a clean", "jsonl clean"]
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert read_config(again) == config
    same = two.replace("as: a, ", "")
    with pytest.raises(ConfigError, match="'jsonl' is listed twice; each must differ; rename one, as in"):
        load_config(write(tmp_path, MINIMAL.replace("[humaneval]", same)))
    other = load_config(write(tmp_path, MINIMAL.replace("[humaneval]", two.replace("as: a", "as: c"))))
    assert [p.results.key for p in build_plan(other).cells[0].pairs] == [p.results.key for p in plan.cells[0].pairs]


def test_an_adapter_of_another_base_is_refused_before_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bases = [make_tiny("llama", tmp_path / f"{size}", hidden_size=size) for size in (32, 64)]
    adapter = make_adapter(bases[1], "llama", "lora", tmp_path / "adapter")
    settings = tmp_path / "adapter" / "adapter_config.json"
    settings.write_text(settings.read_text().replace(bases[1].location, bases[0].location))
    (found,) = of_model_at(adapter.location, "models.0.recipes=[]")
    assert f"models.0.path: the adapter {adapter.location} can't be put on its base {bases[0].location}: " in found
    assert "(64, 2) in the adapter, and (32, 2) fits the base; name its own base" in found


def test_adapters_of_a_base_in_a_ray_jobs_folder_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(IN_RAY_JOB, "{}")
    monkeypatch.chdir(tmp_path)
    (told,) = of_model_at("model")
    assert "models.0.path: model lies in the folder of this Ray job, which is temporary" in told
    assert not of_model_at(tiny_folder(tmp_path / "absolute"))
    assert not of_model_at("model", "models.0.recipes=[]")
    assert not of_model_at("model", "recipes.lora={trainer: full}")


def test_an_end_that_usual_texts_have_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    write_scripted(tmp_path / "bang", byte_tokenizer(), eos_token_id=[256, 0])
    assert of_model_at("bang") == []
    assert "ends at '!', which usual texts have too: `eos_token_id` in its files says so" in caplog.text


def test_a_model_from_scratch_with_an_encoder_needs_an_objective_for_it():
    args = ["models.0.pretrain.family=t5", "models.0.pretrain.size={num_layers: 1}"]
    config = load_config(NANO, [*args, "recipes.tiny.objective_args={}"])
    (cell,) = [cell for cell in build_plan(config).cells if cell.recipe]
    assert cell.base.family == "t5" and base_ref(cell.base).architecture == "seq2seq"
    assert model_ref(cell).architecture == "seq2seq"
    found = findings(NANO, *args, "recipes.tiny={objective: fixed, objective_args: {weight: 2}}")
    said = "recipes.tiny.objective: objective fixed doesn't train encoder-decoder models"
    assert any(said in finding for finding in found)


def test_problems_that_need_tests_inside_are_refused_by_name_and_reason_where_only_outside_is_accepted(tmp_path):
    tests = {1: "assert f() == 1", 2: "import inspect\nassert f() == 1", 3: "assert eval('f()') == 1"}
    rows = [
        {**PROBLEM, "task_id": f"mine/{at}", "test": f"def check(c):\n    pass\n{text}"} for at, text in tests.items()
    ]
    problems = tmp_path / "p.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = MINIMAL.replace("[humaneval]", f"[{{name: jsonl, path: {problems}}}]")
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


def compiled(tmp_path: Path, prompt: str) -> Path:
    """Write a config with two sets of one problem in C++."""
    row = {"task_id": "mine/1", "language": "cpp", "prompt": prompt, "canonical_solution": "return 1; }"}
    (tmp_path / "mine.jsonl").write_text(json.dumps({**row, "test": "int main() { return f() - 1; }"}))
    sets = ", ".join(f"{{name: jsonl, as: {name}, path: mine.jsonl}}" for name in ("one", "two"))
    return write(tmp_path, MINIMAL.replace("humaneval", sets))


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
    monkeypatch.setattr("raysweep.problems.runtimes.missing_headers", lambda: {"boost/any.hpp": "libboost-dev"})
    with pytest.raises(ConfigError, match=r"evaluation.problems.0: mine/1 includes boost/any.hpp, .* libboost-dev"):
        load_config(path)
    file = tmp_path / "mine.jsonl"
    first = {**json.loads(file.read_text()), "task_id": "mine/0", "prompt": "int f() {\n"}
    file.write_text(f"{json.dumps(first)}\n{file.read_text()}\n")
    with pytest.raises(ConfigError, match=r"evaluation.problems.0: mine/1 includes boost/any.hpp"):
        load_config(path)
    load_config(path, ["evaluation.limit=1"])  # which isn't judged


@pytest.mark.slow
def test_each_mistake_about_an_environment_is_one_line_at_its_place(tmp_path):
    sets = [{**PROBLEM, "prompt": f"{text}\ndef f():\n"} for text in ("import json", "import absent_a")]
    for at, row in enumerate(sets):
        (tmp_path / f"{at}.jsonl").write_text(json.dumps(row))
    named = ", ".join(
        f"{{name: jsonl, as: set-{at}, path: {tmp_path}/{at}.jsonl, environment: here}}" for at in range(2)
    )
    mistakes = {
        "here: /gone/python": "execution.environments.here: there is no /gone/python on this machine; make the environ",
        f"here: {tmp_path}": f"execution.environments.here: {tmp_path} is a folder; name the Python in it: ",
        "here: /bin/true": "execution.environments.here: /bin/true can't be asked for its packages: ",
        f"here: {sys.executable}": f"evaluation.problems.1: environment 'here' ({sys.executable}), Python ",
        "cpp: gone": "execution.environments.cpp: 'cpp' is the name of a language; choose another name",
    }
    for given, said in mistakes.items():
        overrides = (f"evaluation.problems=[{named}]", f"execution.environments={{{given}}}")
        (line,) = [line.rpartition("}, ")[2] for line in findings(NANO, *overrides)]
        assert line.startswith(said), line
        assert ("absent_a (T/0); install the packages that have" in line) == (sys.executable in given), line
    lines = findings(NANO, f"evaluation.problems=[{named}]", "execution.environments={her: /bin/true}")
    assert len(lines) == 2 and "no environment is called 'here' (did you mean 'her'?)" in lines[1]
