"""Tables and figures that files define, one YAML file each, in a folder for each study.

A file names its kind, which is a class here, and what is shown: quantities, training sets, test sets, recipes. Training
sets are found by their perturbation, ratio and size, so that a definition fits any sweep.

    base.py         the contract of a kind; the evidence that it draws from, and its conclusions
    catalogue.py    reads exhibit files, a user's own too, and draws them
    selections.py   finds the training sets and test sets that a file names
    answers.py      the contract of what models answered: texts and verdicts
    edits.py        the records of edited models and of rewritten prompts
    edit_pages.py   the records of the pages of edits: prompts, blocks, completions
    layer_editing/  kinds that show edited models
    program_repair/ kinds that show models that repair programs, by regime
    recipes/        kinds that set recipes of a model side by side
    score_grid.py   kind `scores`: a table of scores: axes, blocks, measures, and tests that are missing
    test_sets.py    kind `test-sets`: a table of unchanged and broken prompts
    signed_ranks.py kind `signed-ranks`: a table of signed-rank tests
    curves.py       kind `curves`: a figure along ratios, sizes or an argument of an objective, and its numbers
    settings.py     finds the ratios and sizes of training sets and the values of arguments: the points of curves
    best.py         finds the best ratio, size or value, with its interval and its gain
    code_quality.py kinds `lint-messages`, a table of what pylint says, and `lint-scores`, a figure of its scores
    friedman_tests.py kind `friedman`: a table of tests of whether the methods of a level differ
    languages.py    kind `languages`: a table of scores by programming language, beside its share of the training rows
    power.py        kind `power`: a table of the differences that a sweep's problems can show
    choice.py       kind `choice`: a table of the models with the highest pass@1
    candidates.py   finds the models that may be chosen, and bootstraps them
    advice.py       says which model to choose, how sure that is, what it costs and what to do next
    trade_off.py    kind `trade-off`: a figure of clean pass@1 against RD, with the models that none beats in both
    heat_map.py     kind `heat-map`: a figure of every model by training set and test set
"""
