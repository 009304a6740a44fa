"""Turns a config into a plan: which artefacts a sweep needs, and which of them the store lacks.

Start reading at plan.py: the other files build its records or search for them in a store.

    plan.py          the records of a plan: cells, pairs and artefacts, each with its key and inputs
    planner.py       builds the plan of a sweep: cells, models, completions and results
    sets.py          plans training sets, test sets and the search for leaks
    keys.py          selects the fields of recipes, perturbations, generators and prompts that enter keys
    quality.py       draws the sample of completions that a linter reads, and plans its batches
    models.py        says what each model is shown, and which of its weights a recipe trains
    costs.py         memory, disk and hours of each cell
    sizes.py         counts rows, tokens and problems, or assumes them
    rates.py         measured speed of finished trainings
    fit.py           refuses a training that its worker can't hold, and finds a setting that fits
    needs.py         what the processes of each stage ask for, as records
    needs_planner.py finds out what they ask for: as the config says, or as much as is predicted
    missing.py       lists the missing artefacts of a plan in build order
    uses.py          lists all artefacts that a sweep uses, made or not
"""
