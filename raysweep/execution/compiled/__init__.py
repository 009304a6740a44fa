"""Judges programs in compiled languages, Java and C++, inside a slot's processes.

These modules import the standard library, `execution`, `programs` and `errors` only, when they are imported: the
processes must stay small.

splitting.py   the sources that judge a program: tests outside its process, or inside
outside.py     records of these sources; the wire format between the processes of tests and candidate
syntax.py      syntax trees of both languages
tokens.py      tokens of both languages
same_code.py   whether a changed prompt still has the code that it had, without a compiler
toolchains.py  finds compilers and run times on this machine, asks g++ what it reads and starts, names them for keys
start.py       starts a slot's processes: what is prepared, isolation, then judge and launcher
judge.py       answers a slot's requests: has each program compiled, started, and asked by its tests
relay.py       moves frames between tests and a program, and tells whose turn it is
launcher.py    starts programs behind the layers, and watches them
peers.py       starts processes that exchange frames with the judge: tests, a warm compiler
builders.py    the contract of what compiles programs and tests of a language
cpp/           what a problem in C++ declares, and the sources for it
java/          the same for Java
"""
