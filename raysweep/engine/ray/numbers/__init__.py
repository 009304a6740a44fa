"""What Ray's metrics and Tune's loggers are given.

metrics.py       reports numbers about every stage to Ray's metrics, and keeps the ledger of GPU-hours
outlook.py       reports the states of cells and the time left to Ray's metrics
loggers.py       makes the loggers of Tune that a config names
"""
