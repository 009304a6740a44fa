"""What Ray's metrics and Tune's loggers are given.

meter.py         an actor that owns a sweep's metrics and its ledger: GPU-hours spent, steps reported
held.py          reports the CPUs and GPUs that a process holds
gauges.py        gauges of Ray, which keep their values, and those of a process that generates
loggers.py       makes the loggers of Tune that a config names
"""
