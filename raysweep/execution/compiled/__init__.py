"""Judges programs in compiled languages, Java and C++.

splitting.py   the sources that judge a program: tests outside its process, or inside
outside.py     records of these sources; the wire format between the processes of tests and candidate
tokens.py      tokens of both languages
same_code.py   whether a changed prompt still has the code that it had, without a compiler
cpp/           what a problem in C++ declares, and the sources for it
java/          the same for Java
"""
