"""What a reader sees of a sweep, made from records alone: tables, figures, findings, the HTML report."""
