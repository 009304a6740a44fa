"""Runs the tasks of a sweep on Ray; no other folder imports Ray.

Start reading at tuning.py, then stages.py.

    tuning.py        the engine: makes shared artefacts in Ray tasks and runs a Tune trial for each cell
    stages.py        passes each stage of a task to Train, Data or the actor pool, and reports waits
    training.py      trains a model through Ray Train
    perturbing.py    perturbs blocks of rows through Ray Data
    generation.py    generates completions through Ray Data, in actors that hold the model
    batches.py       sends batches through Ray Data and yields their results
    execution.py     executes programs in a pool of actors, and runs the batches of dead actors again
    stragglers.py    reports batches that take much longer than the others
    cluster.py       connects to a Ray or starts one; computes the resources that tasks request
    probe.py         checks within seconds whether a Ray answers at an address, and its versions
    preflight.py     checks that the nodes can hold a cell before any work starts
    stalls.py        reports which resources a waiting sweep lacks
    orphans.py       frees placement groups of trials that died
    ray_lost.py      stops the sweep or an actor when its Ray has died
"""
