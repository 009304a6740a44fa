"""Parses command lines and prints results; the rest of the package prints nothing.

Begin with app.py. No file here imports a heavy package before its command runs.

    app.py           commands of sweeps: run, submit, plan, sets, status, report, export; audit, init, list, doctor ...
    tools.py         commands that need no config: perturb, evaluate, execute, attack
    options.py       defines the arguments and options that several commands share
    exit.py          ends a command: exit codes, errors, signals; logs to stderr
    views/           one file for what each command prints, and the live display
"""
