"""Examines whether sweeps can run on this machine (`raysweep doctor`).

Begin with examine.py, whose first function lists the checks.

    examine.py         runs all checks, also those that break
    check.py           the result of one check
    machine_checks.py  versions, memory, accelerators, isolation of programs, disks
    part_checks.py     language resources, a Ray, vLLM, served models, compilers, environments, pylint
"""
