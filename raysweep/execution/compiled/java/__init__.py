"""Sources that judge Java programs.

declarations.py  reads what a problem declares: imports, helper methods, the method to complete and its types
builder.py       compiles programs and tests in a warm compiler; runs tests in a warm JVM
assertions.py    rewrites the statements `assert` of tests so that they always throw
sources.py       writes what is compiled: stand-in, adapter, tests; or everything in one program
junit.py         JUnit 4's tests as one text, and what runs them
CompilerServer.java  the warm compiler: compiles in memory, one request after another
Wire.java        the wire format
Server.java      the candidate's process: reads calls, calls the candidate, writes answers
Tests.java       the tests' process: runs the tests of one program after another
Inside.java      runs tests in the candidate's process
Verdict.java     writes verdicts
"""
