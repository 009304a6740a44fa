"""Makes the artefacts of a sweep: one function for each kind, called by `raysweep.pipeline`.

Each function takes a plan, or several of one task, and a `Work` (`raysweep.engine.base`), and commits to the store.

    training_sets.py     writes source rows, perturbed rows, leaks and training sets
    preference_pairs.py  makes rejected responses of rows, and encodes pairs of responses
    asking.py            asks a base model for texts: a teacher's answers about rows, and rewritten prompts
    test_sets.py         perturbs the prompts of a problem set, and checks that they still compile
    training.py          pre-trains base models and fine-tunes models, on a training's workers
    selection.py         chooses the model that is evaluated among those of a group of recipes
    prompt_pairs.py      finds the edit example from which a model is edited, among its base's results
    editing.py           edits a base model from an edit example, in the process that keeps the base
    generation.py        generates completions, such as a cell's, block by block, and counts tokens and seconds
    judging.py           judges a cell's completions; runs only programs without a verdict
    quality.py           lints a sample of the completions, which run nothing
    scoring.py           names a cell's numbers and folders for Ray Tune's results; collects those of an edited model
    references.py        judges reference solutions: where each problem's tests run, and its time limit
    making.py            groups artefacts made together, holds the leases of what is being made, discards damaged ones
    inputs.py            loads what a stage needs: model reference, prompts as requests, problems; refuses double rows
"""
