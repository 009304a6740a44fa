"""Generates MiniCode, a seeded world of small programming problems that needs no download.

Begin with problem_set.py; world.py draws the tasks from families of equal meaning.

    problem_set.py   registers the problem set `minicode`
    world.py         draws tasks: families, hold-outs, names, constants, wordings
    families.py      defines a family of tasks: one meaning, all its wordings, its code, its split
    atoms.py         lists the 80 basic families
    compositions.py  builds the 307 families that combine parts, over lists, strings and words
    tests.py         chooses the inputs that make a problem's tests, those that tell mutants apart
    inputs.py        draws inputs (ints, nats, lists, strings, words) for tests, edge cases first
"""
