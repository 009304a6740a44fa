"""Reads and writes tables of rows.

Errors name the file and the line or row; hub.py, json_files.py and csv_files.py yield the same `JsonRow`.

    parquet.py       writes records to Parquet files and reads them, as rows, groups, blocks or frames
    json_files.py    reads users' JSON files row by row, names the line of each error, checks output files
    csv_files.py     reads users' CSV files row by row, every cell as a text
    exported_sets.py reads the sets that `raysweep sets --out` wrote
    rated_sheets.py  reads the sheets of `raysweep audit` and the raters' answers
    hub.py           reads data sets of the Hugging Face hub, whether it is reachable, and caches their rows
"""
