"""Makes the artefacts of a sweep: one function for each kind, called by `raysweep.pipeline`.

Each function takes a plan, or several of one task, and a `Work` (`raysweep.engine.base`), and commits to the store.

    training_sets.py     writes source rows, perturbed rows, leaks and training sets
    rejected_rows.py     makes rejected responses of rows, of a teacher's answers or by changing their code
    teacher_answers.py   has a teacher write an incorrect variant of each row's response
    encoded_pairs.py     encodes pairs of responses, and marks the tokens in which they differ
    test_sets.py         perturbs the prompts of a problem set, and checks that they still compile
    training.py          pre-trains base models and fine-tunes models, on a training's workers
    selection.py         chooses the model that is evaluated among those of a group of recipes
    prompt_pairs.py      finds the edit example from which a model is edited, among its base's results
    editing.py           edits a base model from an edit example, in the process that keeps the base
    edit_numbers.py      collects the numbers of an edited model: what it restored, what the edit took
    rewriting.py         has a base model rewrite the prompts of a test set
    generation.py        generates completions, such as a cell's, block by block, and counts tokens and seconds
    judging.py           judges a cell's completions; runs only programs without a verdict
    quality.py           lints a sample of the completions, which run nothing
    scoring.py           names a cell's numbers and folders for Ray Tune's results
    references.py        judges reference solutions: where each problem's tests run, and its time limit
    making.py            groups artefacts made together, holds the leases of what is being made, discards damaged ones
    inputs.py            loads what a stage needs: model reference, prompts as requests, problems; refuses double rows
"""
