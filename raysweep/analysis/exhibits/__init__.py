"""Tables and figures by name: kinds, which are classes, and files that say what a kind shows.

A file names its kind and what is shown: quantities, training sets, test sets, recipes. Training sets are found by their
perturbation, ratio and size, so that a definition fits any sweep. Files lie in a folder for each study. A kind that has
a value for each of its keys is a table or figure by itself, and needs no file.

    base.py         the contract of a kind; the evidence that it draws from, and its conclusions
    catalogue.py    finds all tables and figures, a user's files too, and draws them
    selections.py   finds the training sets and test sets that a file names
    answers.py      the contract of what models answered: texts and verdicts
    edits.py        the records of edited models and of rewritten prompts
    edit_pages.py   the records of the pages of edits: prompts, blocks, completions
    test_sets.py    kind `test-sets`: a table of unchanged and broken prompts
    heat_map.py     kind `heat-map`: a figure of every model by training set and test set
    choice.py       kind `choice`: three sentences on the model with the highest pass@1
    trade_off.py    kind `trade-off`: a figure of clean pass@1 against RD, with the models that none beats in both
    code_quality.py kinds `lint-messages`, a table of what pylint says, and `lint-scores`, a figure of its scores
    scores/         kind `scores`: a table of scores by any of their dimensions
    curves/         kind `curves`: scores along ratios, sizes or an argument of an objective
    significance/   kinds of tests: signed ranks, Friedman's
    recipes/        kinds that set recipes of a model side by side
    layer_editing/  kinds that show edited models
    program_repair/ kinds that show models that repair programs, by regime
"""
