"""Sources that judge C++ programs.

declarations.py      reads what a problem declares: includes, helper functions, the function to complete, its types
builder.py           compiles programs and tests with g++, in a sandbox of its own
headers.py           precompiles headers, once for all programs and runs
sources.py           writes what is compiled: stand-in, server, tests; or everything in one program
raysweep_wire.hpp    the wire format, and what generated sources call
raysweep_any.hpp     the same for boost::any
raysweep_server.cpp  serves calls in the candidate's process
raysweep_tests.cpp   runs the tests in their process
raysweep_inside.cpp  runs tests in the candidate's process
raysweep_verdict.hpp writes verdicts
raysweep_special.hpp spares g++ the special functions of <cmath>
"""
