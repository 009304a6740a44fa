"""The report as one HTML file.

report.py        renders the page; groups columns and rows of its tables; HTML, CSS and scripts lie in templates
sample_viewer.py packs prompts, edits and completions into JSON for the page's sample viewer
small_figures.py figures for a cell of a table or a line of text
textdiff.py      compares two texts word by word and marks the changes
"""
