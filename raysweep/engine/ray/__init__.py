"""Runs the tasks of a sweep on Ray; no other folder imports Ray.

Start reading at tuning.py, then stages.py.

    tuning.py        the engine: makes shared artefacts in Ray tasks and runs a Tune trial for each cell
    reuse.py         has cells run one after another in the same process
    stages.py        passes each stage of a task to Train, Data or the actor pool, and reports waits
    loggers.py       makes the loggers of Tune that a config names
    training.py      trains a model through Ray Train
    process_group.py joins the workers of a training into torch's process group
    metrics.py       reports numbers about every stage to Ray's metrics, and keeps the ledger of GPU-hours
    outlook.py       reports the states of cells and the time left to Ray's metrics
    perturbing.py    perturbs blocks of rows through Ray Data
    generation.py    generates completions through Ray Data, whose actors hand batches to hosts
    order.py         has Tune start cells when and in the order in which the keeper of the hosts says
    places.py        decides which cell starts next, and which process gets resources next
    groups.py        decides on which type of accelerator the models of a group run
    simulation.py    plays a sweep on a cluster by the decisions of places.py, without running it
    hosts.py         keeps base models in actors that generate with any version of them
    batches.py       sends batches through Ray Data and yields their results
    execution.py     executes programs in a pool of actors, and runs the batches of dead actors again
    stragglers.py    reports batches that take much longer than the others
    cluster.py       connects to a Ray or starts one; computes the resources that tasks request
    cluster_files.py reads the nodes that a file of `ray up` or of KubeRay can start
    probe.py         checks within seconds whether a Ray answers at an address, and its versions
    submission.py    submits a command as a Ray job, follows its log and returns its exit code
    upload.py        finds the files that a job uploads, and refuses more than Ray takes
    preflight.py     checks that the nodes can hold a cell before any work starts
    nodes.py         what is known of a cluster's nodes: their resources and labels, and who may run on them
    node_versions.py compares the nodes' versions with this process's before any work starts
    stalls.py        reports which resources a waiting sweep lacks
    orphans.py       frees placement groups of trials that died
    drains.py        knows which nodes are announced to be taken away, and excuses attempts that ended for that
    ray_lost.py      stops the sweep or an actor when its Ray has died
"""
