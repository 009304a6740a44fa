from __future__ import annotations

import pytest

from raysweep.config.loading import config_from, load_config
from raysweep.config.schema import SweepConfig
from raysweep.sweep.report.notes import generation_lines, settings_lines, signature, translation_lines
from tests.paths import NANO

COUNTS = {"rows": 40, "distinct": 30, "reused": 0, "tokens": 900, "prompt_tokens": 0, "prompts_too_long": 0}


def test_the_line_on_completions_tells_what_was_asked_distinct_reused_and_too_long():
    assert generation_lines([COUNTS, COUNTS]) == [
        (
            "generation",
            "80 completions: 60 generated, 20 copied (same prompt as another); 1,800 tokens written",
        )
    ]
    ((_, text),) = generation_lines([COUNTS | {"reused": 12, "prompt_tokens": 70, "prompts_too_long": 1}])
    assert text == (
        "40 completions: 18 generated, 12 found in the store, 10 copied (same prompt as another); 900 tokens written, "
        "70 tokens of prompts counted by the server; 1 prompt longer than the model's positions, "
        "so their completions are empty"
    )


def test_completions_that_are_gone_have_no_line():
    assert generation_lines([{}]) == []


def test_the_signature_names_what_all_numbers_rest_on():
    config = config_from(
        {
            "name": "s",
            "models": [{"name": "solver", "generator": "reference"}],
            "evaluation": {"problems": ["humaneval"], "samples": 20, "temperature": 0.2, "top_p": 0.9, "draws": 3},
            "seeds": [1, 2],
        },
        "test",
    )
    manifests = [
        {"counts": {"levels": {"strong": 3}}, "made": {"versions": {"torch": "2.13.0"}}},
        {"counts": {"levels": {"basic": 2}}, "made": {"versions": {"torch": "2.14.0"}}},
        {"counts": {}},
    ]
    generators = [{"name": "transformers", "versions": {"torch": "2.12.0"}}, {"name": "fake"}, {"missing": "x"}]
    completions = [
        {"spec": {"generator": one}, "made": {"versions": {"torch": "2.12.0", "vllm": "0.14"}}} for one in generators
    ]
    assert signature(config, manifests, [*completions, None], "pylint 4.1.4", [1, 2]) == (
        "20 samples for each prompt; T 0.2, top-p 0.9, at most 256 tokens; completions by transformers (torch 2.12.0) "
        "and fake and what is no longer known; 3 draws of a perturbation; training seeds 1, 2; sweep seed 42; "
        "programs run at isolation level basic and strong; torch 2.12.0 and 2.13.0 and 2.14.0, vllm 0.14; linted by "
        "pylint 4.1.4"
    )
    limited = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"limit": 5})})
    assert signature(limited, []).endswith(
        "programs run at isolation level unknown; limited to the first 5 problems of a set"
    )


def test_an_editor_has_its_own_settings_and_none_of_a_training():
    recipes = ["recipes.edit={trainer: dinm, edit: {steps: 3}}", "recipes.denoise={trainer: self-denoising}"]
    edits = ["models.0.recipes=[edit, denoise]", "training=null", "edits={perturbations: [C1], pairs: 3}"]
    lines = dict(settings_lines(load_config(NANO, [*recipes, *edits])))
    assert lines["recipe edit"].startswith("editor dinm, lr 0.0005, steps 3, target_weight 0.1, ")
    assert lines["recipe edit"].endswith("return a + b\\n'") and "\n" not in lines["recipe edit"]
    assert lines["recipe denoise"] == "self-denoising, no weights change"
    assert "learning rate" in lines["recipe tiny"] and "learning rate" not in lines["recipe edit"]
    assert lines["prompt pairs"] == "3 drawn of each problem set, perturbed by each of C1"


def test_translated_test_sets_name_their_translator():
    resources = {"resources": {"translator": "apertium 3.8.3, eng-spa 0.8.1"}}
    test_sets = {
        "clean": {"spec": {"perturbation": {"name": "clean", "args": {}}}},
        "S1": {"spec": {"perturbation": {"name": "S1", "args": {"translator": "apertium"}, **resources}}},
        "S": {"spec": {"perturbation": {"name": "S", "args": {"language": {"translator": "apertium"}}, **resources}}},
    }
    assert translation_lines(test_sets) == [
        (
            "translated",
            "S1, S by apertium 3.8.3, eng-spa 0.8.1 (whose rules make other mistakes than a neural model: not for "
            "numbers to publish)",
        )
    ]
    assert translation_lines({"clean": test_sets["clean"]}) == []
    config = config_from(
        {
            "name": "s",
            "models": [{"name": "solver", "generator": "reference"}],
            "evaluation": {"problems": ["humaneval"]},
        },
        "test",
    )
    assert "; S1, S translated by apertium 3.8.3, eng-spa 0.8.1; " in signature(config, [], test_sets=test_sets)


def test_a_recipes_line_names_all_arguments_of_its_objective() -> None:
    recipe = {"objective": "fait", "objective_args": {"alpha": 3, "granularity": "line"}}
    config = SweepConfig.model_validate(
        {
            "name": "a",
            "models": [{"name": "k", "generator": "reference"}],
            "recipes": {"near": recipe},
            "evaluation": {"problems": ["minicode"]},
        }
    )
    assert (
        "objective fait (alpha 3, hbar marked, emphasis lines, granularity line)"
        in dict(settings_lines(config))["recipe near"]
    )


def test_the_line_of_a_group_names_steps_and_epochs_of_its_recipes() -> None:
    config = SweepConfig.model_validate(
        {
            "name": "a",
            "models": [{"name": "k", "generator": "reference"}],
            "recipes": {"a": {"group": "g", "epochs": 2}, "b": {"group": "g", "steps": 100}},
            "evaluation": {"problems": ["minicode"]},
        }
    )
    assert "learning rate 2e-05, 2 epochs or 100 steps of 16 rows" in dict(settings_lines(config))["recipe g"]


@pytest.mark.parametrize(
    ("rejected", "words"),
    [
        (
            {"teacher": "k", "temperature": 0.8},
            "teacher k, seed 0, temperature 0.8, top_p 0.95, max_new_tokens 1024, rejected_text block, "
            "filters equal and similarity and tokens and fence, similarity 0.5, tokens 1024",
        ),
        (
            {"teacher": "k", "filters": "none", "rejected_text": "answer", "seed": 3},
            "teacher k, seed 3, temperature 0.8, top_p 0.95, max_new_tokens 1024, rejected_text answer, filters none",
        ),
        ({"mutator": "python"}, "mutator python, seed 0, similarity 0.5"),
        ({"field": "worse"}, "field worse"),
    ],
)
def test_settings_name_the_way_to_rejected_responses_with_all_of_its_settings(rejected, words) -> None:
    source = {"name": "jsonl", "path": "rows.jsonl", "rejected": rejected}
    training = {"source": source, "validation": source, "sets": ["clean"]}
    models = [{"name": "k", "generator": "reference"}]
    config = {"name": "a", "models": models, "training": training, "evaluation": {"problems": ["minicode"]}}
    lines = dict(settings_lines(SweepConfig.model_validate(config)))
    assert lines["rejected responses"] == lines["rejected validation responses"] == words
