"""What configs of studies need to be read here: tiny models, and files in place of data sets of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.config.mistakes import ROWS, tiny_folder
from tests.conftest import shared_data
from tests.models.family_tokenizers import tokenizer_of
from tests.paths import CONFIGS

MINICODE = "{name: minicode, world: 1, rows: 3000}"


def study_overrides(name: str, folder: Path) -> list[str]:
    """Return overrides of a config; skip the test where it needs data sets that aren't beside the checkout."""
    document = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    if name == "apr":
        return _repair(folder, document)
    models = [at for at, model in enumerate(document["models"]) if "path" in model]
    overrides = [f"models.{at}.path={tiny_folder(folder / str(at))}" for at in models]
    if name in ("study", "languages"):
        overrides += [f"training.source={MINICODE}", "language.translator=none"]
    if name == "study":
        overrides.append(_minicode_as("safecoder-humaneval", "safecoder-mbpp"))
    if name == "languages":
        for at, language in enumerate(("java", "cpp")):
            overrides.append(
                f"evaluation.problems.{at}.path={shared_data('humaneval_x', f'humaneval_{language}.jsonl.gz')}"
            )
    if name == "creme":
        overrides += ["evaluation.problems=[minicode]", "models.0.recipes=[creme]", "models.1.recipes=[creme]"]
        overrides += [f"perturbations.{own}.path={shared_data('nlperturbator')}" for own in document["perturbations"]]
    if name == "fait":
        (folder / "rows.jsonl").write_text(ROWS * 4)
        source = f"{{name: jsonl, path: {folder / 'rows.jsonl'}, rejected: {{field: output}}}}"
        overrides += [f"models.{at}.template=magicoder" for at in (5, 6, 7)]  # the tiny ones are no chat models
        overrides += [f"training.sources.{own}={source}" for own in ("evol", "oss", "pyx")]
        overrides.append(_minicode_as("humaneval-plus", "mbpp-plus"))
    return overrides


def _minicode_as(*names: str) -> str:
    return f"evaluation.problems={json.dumps([{'name': 'minicode', 'as': name} for name in names])}"


def _repair(folder: Path, document: dict[str, Any]) -> list[str]:
    """Return overrides of apr.yaml that name tiny models and the benchmarks' files."""
    row = {"before": "f() {\n", "buggy": "a();\n", "after": "}\n", "fixed": "b();\n"}
    for name in ("fixes", "validation"):
        (folder / f"{name}.jsonl").write_text(f"{json.dumps({**row, 'buggy': name})}\n" * 8)
    causal, seq2seq = (
        tiny_folder(folder / "causal"),
        tiny_folder(folder / "t5", '{"model_type": "t5", "is_encoder_decoder": true}'),
    )
    tokenizer = tokenizer_of("starcoder")
    tokenizer.save_pretrained(causal)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]})
    tokenizer.save_pretrained(seq2seq)
    quixbugs = shared_data("quixbugs", "quixbugs.jsonl.gz")
    files = {
        "training.source.path": folder / "fixes.jsonl",
        "training.validation.path": folder / "validation.jsonl",
        "evaluation.problems.0.path": quixbugs,
        "evaluation.problems.1.path": quixbugs,
        "evaluation.problems.2.path": shared_data("humaneval_java", "humaneval_java.jsonl.gz"),
        "evaluation.problems.2.positions": shared_data("humaneval_java", "humaneval_loc.txt"),
        "evaluation.problems.3.path": shared_data(
            "clm_apr", "defects4j", "codegen_finetune_result", "codegen_input.json"
        ),
        "evaluation.problems.3.positions": shared_data("clm_apr", "defects4j", "defects4j_loc.txt"),
        "evaluation.problems.3.patches": shared_data("defects4j", "src_patches.tar.gz"),
    }
    is_causal = ["seq2seq" not in model["template"] for model in document["models"]]
    models = [f"models.{at}.path={causal if decodes else seq2seq}" for at, decodes in enumerate(is_causal)]
    return [*models, *(f"{key}={value}" for key, value in files.items())]
