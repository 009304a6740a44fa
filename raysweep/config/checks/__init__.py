"""Checks a config beyond the schema: settings that must go together, and files and models that must be there.

Begin with inputs.py, which calls all checks; each yields (place, what is wrong).

    inputs.py    calls all checks; those of names, sizes, sources, generators, problem sets
    mistakes.py  what a mistake is, and the rows that several checks look at
    recipes.py   checks recipes: settings that don't go together, groups, rows to choose by
    models.py    checks models: that they exist, can be prompted as asked, and get rows that fit in length
    attention.py checks that a model's `attention` is what runs, and can run there
    edits.py     checks recipes that edit models or rewrite prompts, and the section `edits`
    quantized.py checks what is asked of models whose weights are quantized
    repair.py    checks that templates, problem sets and rows for repair go together
    meaning.py   finds settings that contradict each other, and warns of those without effect
"""
