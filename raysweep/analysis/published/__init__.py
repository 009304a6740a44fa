"""The numbers that studies printed, to compare a sweep with.

Each study has a CSV file of scores, with the names that raysweep's own scores have, and one of averages if it prints
any.

    reference.py                reads a study's numbers
    sums.py                     recomputes a study's averages from its scores
    robust_finetuning.csv       the study whose grid raysweep runs: its tables 2, 3, 4, 7, 8, 10 and 11
    fault_aware_finetuning.csv  the study of FAIT: its tables 1 to 5
    fault_aware_averages.csv    the relative changes of sums that it prints
"""
