"""The numbers that studies printed, to compare a sweep with.

Each study has one CSV file, with the names that raysweep's own scores have.

    reference.py           reads a study's numbers
    robust_finetuning.csv  the study whose grid raysweep runs: its tables 2, 3, 4, 7, 8, 10 and 11
"""
