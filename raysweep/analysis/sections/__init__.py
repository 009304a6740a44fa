"""What a report shows.

findings.py      writes the headline of each model
"""
