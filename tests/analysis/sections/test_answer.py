"""The report's first sentence says what was asked, in words that need no knowledge of the sweep."""

from dataclasses import replace

from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.answer import question
from raysweep.analysis.tables.edited import EDITED, WAY
from raysweep.analysis.tables.score_book import RecipeChoice, ScoreBook
from tests.analysis.examples import ORDER, report, scores


def test_the_first_sentence_names_models_problems_and_prompts():
    assert question(ScoreBook.of(scores(), ORDER)) == (
        "The code models llama and gpt_bigcode were asked to solve 240 problems of minicode, before and after "
        "fine-tuning: from prompts as they are, and from prompts changed by 4 perturbations, such as typos (C). "
        "pass@1: the share of programs that pass all tests of their problem."
    )


def test_few_perturbations_are_named_with_what_a_mix_draws_from():
    words = {"C": "typos", "C1": "neighbouring keys", "C2": "swapped characters"}
    order = replace(ORDER, perturbations=("C1", "C"), headline="C", words=words, members={"C": ("C1", "C2")})
    few = [one for one in scores() if one.perturbation in ("clean", "C1", "C")]
    assert (
        ": from prompts as they are, and from prompts changed by neighbouring keys (C1) and typos (C: for each prompt "
        "one of neighbouring keys (C1) and swapped characters (C2)). pass@1: "
    ) in question(ScoreBook.of(few, order))


def test_recipes_and_seeds_are_named_where_there_are_several():
    both = [*scores(), *(replace(one, recipe="lora") for one in scores() if one.training_set != "base")]
    recipes = {name: RecipeChoice("sft") for name in dict.fromkeys(one.recipe for one in both if one.recipe != "none")}
    order = replace(ORDER, recipes=recipes, seeds=3)
    assert f", before and after fine-tuning (by the recipes {' and '.join(recipes)}, with 3 seeds each): " in question(
        ScoreBook.of(both, order)
    )


def test_recipes_that_edit_are_no_fine_tuning():
    edited = [replace(s, training_set=EDITED, recipe="creme") for s in scores() if s.training_set == "C"]
    tuned = next(s.recipe for s in scores() if s.training_set == "C")
    order = replace(ORDER, ways={EDITED: WAY}, recipes={name: RecipeChoice("sft") for name in (tuned, "creme")})
    assert ", before and after fine-tuning or editing: " in question(ScoreBook.of([*scores(), *edited], order))
    bases = [s for s in scores() if s.training_set == "base"]
    assert "seeds" not in question(ScoreBook.of(bases, replace(ORDER, seeds=3)))


def test_several_problem_sets_stand_in_one_list():
    sets = ("minicode", "java", "cpp")
    several = [replace(score, problem_set=name, n=6) for name in sets for score in scores()]
    assert " asked to solve 6 problems of minicode, 6 problems of java and 6 problems of cpp, before and" in question(
        ScoreBook.of(several, replace(ORDER, problem_sets=sets))
    )


def test_a_model_that_was_not_fine_tuned_has_no_before_and_after():
    only = [s for s in scores() if (s.model, s.training_set) == ("llama", "base") and s.perturbation in ("clean", "C")]
    order = replace(ORDER, models=("llama",), training_sets=("base",), perturbations=("clean", "C"))
    assert question(ScoreBook.of(only, order)).startswith(
        "The code model llama was asked to solve 240 problems of minicode: from prompts as they are, and from prompts "
        "changed by typos (C)."
    )


def test_a_sweep_of_edits_speaks_of_editing_and_not_of_fine_tuning():
    edited = [replace(s, training_set=EDITED, recipe="creme") for s in scores() if s.training_set == "C"]
    bases = [s for s in scores() if s.training_set == "base"]
    order = replace(ORDER, training_sets=("base", EDITED), ways={EDITED: WAY})
    assert ", before and after editing: " in question(ScoreBook.of([*bases, *edited], order))
    of_findings = str(render_report(report(scores=[*bases, *edited], order=order))).partition('<section id="findings"')[
        2
    ]
    assert "In place of a training set" in of_findings and "fine-tun" not in of_findings.partition("</section>")[0]
    both = ScoreBook.of([*scores(), *edited], replace(ORDER, ways={EDITED: WAY}))
    assert ", before and after fine-tuning or editing: " in question(both)


def test_the_answer_stands_before_the_findings_and_a_sweep_without_scores_has_none():
    page = render_report(report())
    assert page.index('id="answer"') < page.index('id="findings"')
    assert 'id="answer"' not in render_report(report(scores=[]))
