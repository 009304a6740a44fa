"""Tables and figures of the study of fault-aware fine-tuning (FAIT), and the kind that only it has.

claims.py   kind `fait-claims`: a table of the study's claims beside a sweep's numbers
"""
