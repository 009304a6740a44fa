"""What a report shows.

findings.py      writes the headline of each model
failures.py      lists the errors of failed cells
"""
