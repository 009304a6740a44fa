"""Turns the scores and samples of a sweep into tables, figures and the HTML report.

sweep/report/write.py calls this folder with records; nothing here reads the store.

    sections/        what a report shows: the sections of the page
    tables/          the tables of a report, and how they are written
    figures/         draws the figures, as SVG and PDF
    exhibits/        tables and figures that YAML files define, such as those of the study
    comparisons/     turns pairs of cells into numbers, such as each fine-tuned model beside its baselines
    page/            the report as one HTML file
    published/       the numbers that studies printed, to compare a sweep with
    templates.py     the Jinja templates of the page and of sentences
"""
