"""What problems in C++ declare: all of HumanEval-X, and what can't be sent to another process."""

from __future__ import annotations

import pytest

from raysweep.execution.compiled.cpp.declarations import read_declaration
from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.prompts.comments import entry_point_of
from tests.execution.compiled.problems import rows


def function(text):
    return read_declaration(text).function


def test_all_of_humaneval_x_declare_plain_data():
    for row in rows("cpp"):
        for text in (row["declaration"], row["prompt"]):
            read = read_declaration(text)
            assert read.function.name == entry_point_of(row["prompt"])
            assert f"{read.function.name}(" in read.function.heading.replace(" (", "(")
            assert "using namespace std;" in read.before
            assert "#include<stdio.h>" in read.before.replace(" ", "")


def test_helper_functions_stand_before_the_function():
    with_helpers = [
        index for index, row in enumerate(rows("cpp")) if "}" in read_declaration(row["declaration"]).before
    ]
    assert with_helpers == [10, 32, 38, 50]
    read = read_declaration(rows("cpp")[38]["declaration"])
    assert "string encode_cyclic(string s)" in read.before
    assert read.function.heading == "string decode_cyclic(string s)"


def test_types_have_full_names():
    read = function(
        "vector<vector<int>>  f( const std::map<char, int> & m,vector<int>l, unsigned long long n = 1, int) {"
    )
    assert (read.name, read.result.text) == ("f", "std::vector<std::vector<int > >")
    assert [one.full for one in read.parameters] == [
        "const std::map<char, int > &",
        "std::vector<int >",
        "unsigned long long",
        "int",
    ]
    assert not any(one.is_changed for one in read.parameters)
    assert read.heading.endswith("unsigned long long n = 1, int)")
    assert function("void f(vector<int> &v, int const &n) {").parameters[0].is_changed
    assert not function("void f(vector<int> &v, int const &n) {").parameters[1].is_changed
    assert function("static inline bool f(void) noexcept {").parameters == ()


def test_types_may_have_other_names():
    text = "typedef std::list<boost::any> any_list;\nusing Rows = std::vector<any_list>;\nRows f(any_list a) {"
    assert function(text).result.text == "std::vector<std::list<boost::any > >" and function(text).result.has_any
    with pytest.raises(UnreadableError, match="A as the result of f, which is no plain data"):
        function("typedef B *A;\nA f() {")
    with pytest.raises(UnreadableError, match="A as the result of f, which is no plain data"):
        function("using A = B; using B = A; A f() {")


def test_a_comment_before_the_brace_is_no_part_of_the_heading_and_const_may_stand_behind_the_type():
    assert read_declaration("int f(int a) // adds\n{\n").function.heading == "int f(int a)"
    function = read_declaration("static int const f(int a) {").function
    assert function.heading == "int const f(int a)" and function.result.is_const


def test_what_stands_behind_the_brace_is_left_out():
    read = read_declaration('int g(int a) { return a; }\nint x[2] = {1, 2};\nint f(string s) { if (s == "}") { g(')
    assert read.function.heading == "int f(string s)"
    assert read.before == "int g(int a) { return a; }\nint x[2] = {1, 2};\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("int f(int *a) {", r"has int \*a as parameter 1 of f, which is no plain data"),
        ("int f(string s, int &&a) {", "int &&a as parameter 2 of f"),
        ("int f(int a[]) {", r"int a\[\] as parameter 1 of f"),
        ("struct P { int x; };\nP f() {", "P as the result of f, which is no plain data"),
        ("int f(struct P p) {", "struct P p as parameter 1 of f, which is no plain data"),
        ("template <class T> T f(T a) {", "something that is no function"),
        ("auto f(int a) {", "auto as the result of f"),
        ("int &f(vector<int> &v) {", "more before the body of its function than a type"),
        ("int f(function<int(int)> g) {", r"function<int\(int\)> g as parameter 1"),
        ("int f(vector<int, A> g) {", "vector<int, A> g as parameter 1"),
        ("int f(map<int> g) {", "map<int> g as parameter 1"),
        ("vector<void> f() {", "vector<void> as the result of f"),
        ("int f(void a) {", "void a as parameter 1 of f"),
        ("long double f() {", "long double as the result of f"),
        ("int f(other::vector<int> a) {", "other::vector<int> a as parameter 1"),
        ("int f(int a);", "opens no function"),
        ("int f(int a) { return a; }", "opens no function"),
        ("", "opens no function"),
        ("struct P {", "opens something that is no function"),
        ("int f(int a", "opens no function"),
        ("int f(int a) const {", r"more in f\(int a\) const than a name and parameters"),
        ("int A::f(int a) {", "more in A::f"),
        ('int f(string s = "', "opens no function"),
        ("#ifdef A\nint g() { return 1; }\n#endif\nint f() {", "directives that depend on a condition"),
        ("} int f() {", "can't be read"),
    ],
)
def test_anything_else_has_a_reason(text, reason):
    with pytest.raises(UnreadableError, match=reason):
        read_declaration(text)
