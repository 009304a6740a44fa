"""Decides where and how the work of a sweep's stages runs.

Start reading at base.py: stages hand jobs to an engine, which yields their results batch by batch.

    base.py          defines engines, their jobs and tasks, and the `Work` that stage functions take
    local.py         runs everything in this process, one task after the other
    placing/         decides where and in which order cells run, and never talks to Ray
    ray/             runs tasks, training, generation and execution on a Ray cluster
    jobs.py          builds and keeps a job's generator, generates its batches, perturbs one block of rows
    completing.py    completes distinct prompts, in batches
    judging.py       judges distinct programs against the verdicts that are known
    services.py      `generate` and `execute` for code inside a stage, such as an attack
    checkpoints.py   saves, finds and removes checkpoints of all workers; takes a trainer's reports and notices
    progress.py      writes and reads progress files, one for each task
    ledger.py        counts the GPU-hours that all runs of a sweep have used
    attempts.py      retries failing work with growing pauses, and ends processes that hang
"""
