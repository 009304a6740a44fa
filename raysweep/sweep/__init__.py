"""Runs a whole sweep: plans it, has an engine make what the store lacks, and analyses the results.

Begin with run.py; the other modules are the steps that it calls, and the variants for `sets` and `evaluate`.

    run.py           runs a plan from the first check to the report
    tasks.py         turns missing artefacts into an engine's tasks and runs them
    folder.py        reads and writes sweeps/<name>/: config, runs, log file
    grid.py          the rows of the grid: an evaluation pair each, with its artefacts
    summary.py       keeps beside the grid that all pairs of a large sweep have results
    numbers.py       reads and writes a sweep's saved tables (scores, verdicts by problem, differences) as frames
    guards.py        refuses a run without enough resources, disk space or isolation, or beside another run of its sweep
    report/          collects the records of a finished sweep, and writes its report
    overview/        what a person asks of a sweep: its plan, its state, one cell
    data_sets.py     makes the training and test sets of a config without its models, and exports them
    leaks.py         lists the training rows that leak test problems
    evaluate.py      builds the config of `raysweep evaluate`
    submit.py        prepares a Ray job that runs a sweep: checks, command, environment, paths, what must be uploaded
    spot.py          watches for the announced end of this machine, and drains its node of Ray then
    gc.py            finds and removes what no sweep of a store uses: by kind, inputs, holders, what it leaves out
    samples.py       completions with prompts and verdicts as a table and as a samples file; rebuilds what models saw
    export/          writes results in other tools' formats, and as a package that recomputes every table
"""
