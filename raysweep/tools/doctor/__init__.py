"""Examines whether sweeps can run on this machine (`raysweep doctor`).

Begin with examine.py, whose first function lists the checks.

    examine.py       runs programs, looks for a Ray, writes files and makes sockets
    checks.py        judges measurements: versions, memory, accelerators, isolation, disks
"""
