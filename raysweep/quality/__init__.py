"""Code quality of completions: draws a sample of them, lints each as a file, and counts what pylint reports.

Functions are pure: files go in, records come out; stages and engines decide which files these are. pylint (the extra
`quality`) runs in a process of its own.

    sampling.py      Cochran's sample size; draws (cell, problem) units by seed and names, bases as a stratum
    files.py         a completion as a file: what the model saw and wrote; counts traps of encoding
    reports.py       records of what a linter says: of a cell, a file, each message
    linting.py       lints files with pylint in a child process with limits, those of several cells together
    pylint_child.py  that process: sets pylint up once, and forks for each file
    taxonomy.py      severities and tiers of pylint's codes, those that cutting causes
    summary.py       counts messages of groups of files, per 100 files; mean scores with intervals
"""
