"""What a config names: it must fit together, and files and models must be there. All of it is told before work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raysweep.config_file import load_config
from raysweep.document import ConfigError
from tests.test_config import CONFIGS, MINIMAL, NANO, findings, tiny_folder, write


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
        ("training.sets=[{name: base, perturbation: C1}]", "training.sets.0: 'base' is the name of what is not"),
        ("training.sets=[C1, C2, C1]", "training.sets.2: the training set name 'C1' stands here twice"),
        ("seeds=[1, 2, 1]", "seeds.2: the seed 1 stands here twice"),
        ("models.0.recipes=[tiny, tiny]", "models.0.recipes.1: the recipe 'tiny' stands here twice"),
        ("evaluation.problems=[humaneval, humaneval]", "evaluation.problems.1: the problem set 'humaneval' stands"),
        ("evaluation.pairs={C1: [C1, C1]}", "evaluation.pairs.C1.1: the perturbation 'C1' stands here twice"),
        ("evaluation.pairs={claen: [C1]}", "evaluation.pairs.claen: no training set called 'claen'"),
        ("evaluation.pairs={C1: [c1]}", "evaluation.pairs.C1.0: 'c1' is not among `evaluation.perturbations` (did you"),
        ("evaluation.pairs=papr", "evaluation.pairs: must be 'all', 'paper' or 'figures', not 'papr' (did you mean"),
        ("evaluation.pairs={C1: clean}", "evaluation.pairs.C1: must be a list, not 'clean'"),
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
        ("models=[{name: a, generator: {name: fake, share: .inf}}]", "argument 'share': must be a finite number"),
        ("models=[{name: a, generator: transformers}]", "models.0.generator: generator transformers needs a model"),
        ("strengths={C: 10, C1: 10}", "strengths.C: perturbation C1: strength 100.0 is not between 0 and 20"),
        ("recipes.tiny.objective_args={promt_weight: 1}", "recipes.tiny.objective_args: objective 'sft' has no argu"),
        ("models.0.pretrain.size={hiden_size: 8}", "models.0.pretrain.size.hiden_size: the config of model family"),
        ("recipes.tiny.trainer=lora", "models.0.pretrain.recipe: recipe 'tiny' has the trainer 'lora'"),
        ("recipes.tiny.batch_size=65", "recipes.tiny.batch_size: 65 is more than the 64 rows of `training.source`"),
        ("models.0.dtype=bfloat16", "models.0.dtype: only a model with a `path` has this"),
        ("models.0.revision=v1", "models.0.revision: only a model with a `path` has this"),
        ("models.0.trust_remote_code=true", "models.0.trust_remote_code: only a model with a `path` has this"),
    ],
)
def test_what_would_fail_in_the_middle_of_a_sweep_is_refused_before(override, expected):
    (found,) = findings(NANO, override)
    assert expected in found


def test_files_models_and_pairs_are_told_in_one_go(tmp_path):
    text = NANO.read_text().replace("    recipes: [tiny]", "    recipes: [tiny]\n  - {name: b, path: /nowhere/b}")
    text = text.replace("checkpoint_every", "strengths: {C: 10, C1: 10}\ncheckpoint_every")
    found = findings(write(tmp_path, text), "evaluation.pairs={C11: [C1]}")
    assert len(found) == 3
    assert any("evaluation.pairs.C11: no training set called 'C11' (did you mean 'C1'?)" in line for line in found)
    assert any(re.match(r"line \d+, models.1.path: no model at /nowhere/b", line) for line in found)


def own_model(folder: Path, config: str, *overrides: str) -> list[str]:
    rows = folder / "rows.jsonl"
    rows.write_text('{"instruction": "Add.", "output": "a + b"}\n' * 16)
    given = [f"models.0.path={tiny_folder(folder, config)}", f"training.source.path={rows}", *overrides]
    path = CONFIGS[0].parent / "own-model.yaml"
    try:
        load_config(path, given)
    except ConfigError as error:
        return error.findings
    return []


def test_lora_on_an_unknown_family_needs_targets(tmp_path):
    (found,) = own_model(tmp_path, '{"model_type": "gpt2"}')
    assert "models.0.recipes.0: raysweep doesn't know the layers of a 'gpt2' model" in found
    assert "`lora.targets`" in found


def test_lora_on_an_unknown_family_works_with_targets_but_without_embeddings(tmp_path):
    gpt2 = '{"model_type": "gpt2"}'
    assert own_model(tmp_path, gpt2, "recipes.lora.lora={targets: [c_attn]}") == []
    (tmp_path / "two").mkdir()
    (found,) = own_model(tmp_path / "two", gpt2, "recipes.lora.lora={targets: [c_attn], train_embeddings: true}")
    assert "`lora.train_embeddings`" in found


def test_an_encoder_decoder_model_is_refused(tmp_path):
    (found,) = own_model(tmp_path, '{"model_type": "llama", "is_encoder_decoder": true}')
    assert "models.0.path: " in found and "only causal ones can be run" in found


def test_training_on_an_adapter_is_refused(tmp_path):
    base = tiny_folder(tmp_path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base}"}}')
    (adapter / "adapter_model.safetensors").write_bytes(b"0")
    (tmp_path / "in").mkdir()
    (found,) = own_model(tmp_path / "in", '{"model_type": "llama"}', f"models.0.path={adapter}")
    assert "models.0.recipes.0: " in found and "is an adapter; merge it into its base" in found


def test_a_batch_larger_than_the_users_file_is_refused(tmp_path):
    (found,) = own_model(tmp_path, '{"model_type": "llama"}', "recipes.lora.batch_size=17")
    assert "recipes.lora.batch_size: 17 is more than the 16 rows of `training.source`" in found
