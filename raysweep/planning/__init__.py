"""Turns a config into a plan: which artefacts a sweep needs, and which of them the store lacks.

Start reading at plan.py: the other files build its records or search for them in a store.

    plan.py          the records of a plan: cells, pairs and artefacts, each with its key, inputs, task and unit
    planner.py       builds the plan of a sweep: cells, models, encoded pairs, completions, results, references
    base_models.py   plans base models, and what their completions depend on
    sets.py          plans training sets, validation sets, test sets and the search for leaks
    keys.py          selects the fields of recipes, adapters, perturbations, decoding and prompts that enter keys
    quality.py       draws the sample of completions that a linter reads, and plans its batches
    models.py        says what each model is shown, which weights a recipe trains, whether recipes and generators fit
    rows_read.py     says which columns of training rows nobody reads, and which rows have earlier turns
    control_texts.py counts training rows and prompts with the texts of control tokens
    predictions/     what cells will take: memory, disk, hours, processes
    choice.py        what a store knows of choices: which of its candidates' models is that of a cell
    missing.py       lists the missing artefacts of a plan in build order
    key_changes.py   says what changed where an artefact's key is another one than that in the store
    uses.py          lists all artefacts that a sweep uses, made or not
"""
