"""Problem sets for program repair: a file with a faulty hunk each, which a model's answer replaces.

Begin with base.py.

    base.py            what the sets share: their arguments, and problems made of two versions of a file
    own.py             faults of a user's file, in Python, Java or C++
    quixbugs.py        QuixBugs in Python and Java
    humaneval_java.py  HumanEval-Java, faults put into solutions in Java
    defects4j.py       single hunks of Defects4J, without tests
    minirepair.py      mutants of MiniCode's solutions, which need no download
"""
