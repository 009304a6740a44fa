"""Prints the results of commands as tables, lines or JSON.

Each command's view has the command's name, and names.py is that of `list`; console.py, progress.py and results.py are
shared.

    console.py       prints names and paths unchanged, and values as JSON
    progress.py      shows running work: the only live display
    results.py       prints scores of `run` and `evaluate`, and what `export` has written
    submit.py        prints the command and the log of a job, and how to reach one that goes on
    plan.py          prints cells and pairs, and which of them are missing
    status.py        prints the state of a sweep, or of one cell; `--watch`
    perturb.py       prints prompts before and after, writes problem files
    execute.py       prints pass@k of a samples file, and how its programs were run
    attack.py        prints pass@1 under attack and the smallest changes
    sets.py          prints sizes of sets (`sets`), leaked problems (`leaks`), marked responses (`show-pairs`)
    gc.py            prints what no sweep uses, or what of it was removed
    audit.py         prints where a sheet is, or the share of valid texts
    config.py        prints the reference of config keys, writes docs/config.md; configs to start from (`init`)
    names.py         prints registered names by kind
    doctor.py        prints the checks of this machine
"""
