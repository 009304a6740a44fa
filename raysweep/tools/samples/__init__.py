"""Runs the programs of a samples file for `raysweep execute`, without a config or a store.

Begin with run.py.

    format.py        reads the rows of samples, assembles their programs, writes the rows back
    folders.py       finds the samples of a folder, as EvalPlus and BigCodeBench save them
    run.py           runs each distinct program of a samples file once and writes the rows in the file's order
    references.py    judges each problem's reference solution right before its first sample
    results.py       writes the results file, keeps verdicts to resume from, refuses other settings
    scores.py        adds up the samples and verdicts of a file for its summary
    uncompiled.py    says why samples don't compile, and which option helps
"""
