"""Prints the results of commands as tables, lines or JSON.

Each command's view has the command's name, and names.py is that of `list`; console.py, progress.py and results.py are
shared.

    console.py       prints names and paths unchanged, and values as JSON
    progress.py      shows running work: the only live display
    results.py       prints scores of `run` and `evaluate`, the sets of `sets`, anything as JSON
    submit.py        prints the command and the log of a job, and how to reach one that goes on
    plan.py          prints cells and pairs, and which of them are missing
    status.py        prints the state of a sweep, or of one cell; `--watch`
    perturb.py       prints prompts before and after, writes problem files
    execute.py       prints pass@k of a samples file, and how its programs were run
    attack.py        prints pass@1 under attack and the smallest changes
    leaks.py         prints the training rows that leak test problems
    export.py        prints what an export has written, and what is missing
    gc.py            prints what no sweep uses, or what of it was removed
    audit.py         prints where a sheet is, or the share of valid texts
    pairs.py         prints responses beside rejected ones, with the marks of their tokens
    config.py        prints the reference of config keys, writes docs/config.md
    init.py          prints the configs to start from and the next commands
    names.py         prints registered names by kind
    doctor.py        prints the checks of this machine
"""
