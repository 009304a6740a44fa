"""Turns the scores and samples of a sweep into tables, figures and the HTML report.

sweep/report/write.py calls this folder with records; nothing here reads the store.

    score_book.py    indexes scores and failures by model, training set and test set
    table.py         the table record, written as Markdown, CSV or LaTeX
    latex.py         escapes text for LaTeX
    quantities.py    writes the numbers of tables: percent or points, intervals, notes
    score_tables.py  builds the tables of a sweep's scores
    difference_tables.py builds the tables of differences: each model beside its baseline
    comparisons/     turns pairs of cells into numbers, such as each fine-tuned model beside its baselines
    significance.py  builds the tables of signed-rank tests
    published/       the numbers that studies printed, to compare a sweep with
    twin_tables.py   builds the tables of `raysweep compare`
    findings.py      writes the headline of each model
    outcomes.py      builds the table of outcomes: why completions fail
    costs.py         builds the table of what a sweep cost
    trainings.py     builds the table of trainings: rows, dropped rows, losses
    exhibits/        tables and figures that YAML files define, such as those of the study
    figures/         draws the figures, as SVG and PDF
    quality_groups.py groups linted files by model, training set, ratio and size
    quality_tables.py builds the tables of code quality, among them the study's tables 14 to 16
    report.py        renders the report as one HTML file
    sample_viewer.py packs prompts and completions into JSON for the report's sample viewer
    textdiff.py      compares two texts word by word and marks the changes
"""
