"""Sources that judge C++ programs.

declarations.py      reads what a problem declares: includes, helper functions, the function to complete, its types
builder.py           compiles programs and tests with g++, in a sandbox of its own
sources.py           writes what is compiled: stand-in, server, tests; or everything in one program
raysweep_wire.hpp    the wire format, and what both processes do beside it
raysweep_tests.hpp   runs the tests in their process
raysweep_inside.cpp  runs tests in the candidate's process
raysweep_verdict.hpp writes verdicts
raysweep_special.hpp spares g++ the special functions of <cmath>
"""
