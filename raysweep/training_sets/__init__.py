"""Training sets: where their rows come from, which are chosen and perturbed, and which leak evaluated problems.

Begin with base.py for the contract of a source; selection.py, perturbing.py and build.py then make a set of its rows.

    base.py        defines the contract of a source of rows
    hf.py          reads rows with Hugging Face's `datasets`
    jsonl.py       reads rows from a user's JSON file
    csv.py         reads rows from a user's CSV file
    pyx.py         reads PyX, on which SemCoder was trained
    row_shapes.py  finds instruction and response in rows of other data sets' shapes
    repair.py      reads faults and fixes from a user's JSON file, or changes MiniCode's solutions
    minicode.py    generates rows of MiniCode, the embedded world
    selection.py   chooses the rows of a set, and the methods that perturb each of them
    perturbing.py  perturbs the rows of a source
    rejected/      makes rejected responses: changed code, a teacher's answers, and which of them are near misses
    build.py       builds training rows from source rows and their perturbed texts
    developer_patches.py finds rows that are patches by developers of evaluated projects
    leakage.py     finds rows that leak test problems: equal descriptions, names, bodies, long common runs
"""
