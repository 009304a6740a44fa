"""Reads and writes tables of rows.

Errors name the file and the line or row; hub.py and json_files.py yield the same `JsonRow`.

    parquet.py       writes raysweep's own records to Parquet files and reads them
    json_files.py    reads users' JSON files and names the line of each error
    rated_sheets.py  reads the sheets of `raysweep audit` and the raters' answers
    hub.py           reads data sets of the Hugging Face hub and caches their rows
"""
