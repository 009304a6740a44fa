"""Runs the tasks of a sweep on Ray; no other folder imports Ray.

Start reading at engine.py, then stages.py.

    engine.py        makes shared artefacts in Ray tasks, runs a Tune trial for each cell; how many may die or fail
    stages.py        passes each stage of a task to Train, Data or the actor pool, and reports waits
    batches.py       sends batches through Ray Data and yields their results
    training.py      trains a model through Ray Train
    process_group.py joins the workers of a training into torch's process group
    perturbing.py    perturbs blocks of rows through Ray Data
    execution.py     executes programs in a pool of actors, and runs the batches of dead actors again
    stragglers.py    reports batches that take much longer than the others
    disk.py          has Tune and Train create folders only in a store that is there
    hosts/           actors that keep base models, which generate for all cells; the order and the processes of cells
    cluster/         the Ray that a sweep runs on: its start, its nodes, and what happens when it loses some
    numbers/         what Ray's metrics and Tune's loggers are given
    jobs/            a sweep as a Ray job
"""
