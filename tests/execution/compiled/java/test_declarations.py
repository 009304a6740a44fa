"""What problems in Java declare: all of HumanEval-X, and what can't be sent to another process."""

from __future__ import annotations

import pytest

from raysweep.execution.compiled.java.declarations import read_declaration, read_tested_class
from raysweep.execution.compiled.syntax import UnreadableError
from raysweep.prompts.comments import entry_point_of
from tests.execution.compiled.problems import rows


def method(text):
    return read_declaration(f"import java.util.*;\nclass Solution {{\n{text}").method


def test_all_of_humaneval_x_declare_plain_data():
    for row in rows("java"):
        for text in (row["declaration"], row["prompt"]):
            read = read_declaration(text)
            assert read.method.name == entry_point_of(row["prompt"])
            assert (read.class_name, read.class_heading) == ("Solution", "class Solution")
            assert "import java.util.*;" in read.imports


def test_helper_methods_are_members():
    with_helpers = [index for index, row in enumerate(rows("java")) if read_declaration(row["declaration"]).members]
    assert with_helpers == [10, 32, 38, 50]
    assert "encodeCyclic" in read_declaration(rows("java")[38]["declaration"]).members


def test_types_are_as_the_problem_writes_them():
    read = method(
        "public static Map<String,List<? extends Object>> f(final int a, java.util.List<Integer> b) throws A {"
    )
    assert (read.name, read.is_static, read.throws) == ("f", True, "throws A")
    assert read.result == "Map<String,List<? extends Object>>"
    assert read.parameters == ("int", "java.util.List<Integer>")
    assert method("void f() {").parameters == ()


def test_fields_and_other_classes_stand_before_the_method():
    read = read_declaration(
        "class Node { int a; }\nclass Solution {\n"
        ' int[] x = {1, 2};\n String y = "{";\n static { }\n int f(int a) { if (a'
    )
    assert read.types == "class Node { int a; }"
    assert read.members == 'int[] x = {1, 2};\nString y = "{";\nstatic { }'
    assert read.method.name == "f"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("int f(Thread[] a) {", r"has Thread\[\] a as parameter 1 of f, which is no plain data"),
        ("int f(int... a) {", "int... a as parameter 1 of f"),
        ("int f(String a[]) {", r"String a\[\] as parameter 1 of f"),
        ("Node f(int a) {", "Node as the result of f"),
        ("int f(Function<Integer, Integer> g) {", "Function<Integer, Integer> g as parameter 1"),
        ("int f(List<Node> a) {", "List<Node> a as parameter 1"),
        ("int f(Map<String> a) {", "Map<String> a as parameter 1"),
        ("int f(com.a.List<String> a) {", "com.a.List<String> a as parameter 1"),
        ("<T> T f(T a) {", "a generic or annotated method"),
        ("@Override int f(int a) {", "a generic or annotated method"),
        ("int f(int a);", "opens no class with a method"),
        ("class Inner {", "opens something that is no method"),
        ("Solution(int a) {", "opens something that is no method"),
    ],
)
def test_anything_else_has_a_reason(text, reason):
    with pytest.raises(UnreadableError, match=reason):
        method(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("package a; class Solution { int f() {", "names a package"),
        ("interface Solution { int f() {", "no class"),
        ("class Solution<T> { int f() {", "generic"),
        ("", "opens no class with a method"),
        ("class Solution { int f() { } }", "opens no class"),
    ],
)
def test_a_class_of_another_kind_has_a_reason(text, reason):
    with pytest.raises(UnreadableError, match=reason):
        read_declaration(text)


FILE = """package a.b;
import java.util.*;

/** A class. */
public class C {
    private static final Map<String, Node> KEPT = new HashMap<>();
    static class Node { public int value; }
    @SuppressWarnings("unchecked") private int helper() { return 1; }
    public static int[] f(int[][] a, final List<String> b) throws Exception { return new int[] {1}; };
    public static void g() { }
}
"""


def test_a_tested_class_has_its_public_static_methods():
    read = read_tested_class(FILE)
    assert (read.package, read.imports, read.name) == ("a.b", "import java.util.*;", "C")
    assert [(one.name, one.result, one.parameters, one.throws) for one in read.methods] == [
        ("f", "int[]", ("int[][]", "List<String>"), "throws Exception"), ("g", "void", (), ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("package a.b;", "", "names no package"),
        ("public class C {", "public class C extends D {", "which extends nothing"),
        ("public class C {", "class C {", "something else than one public class"),
        ("static class Node", "public static class Node", "opens something that is no method"),
        ("private static final Map", "public static final Map", "opens something that is no method"),
        ("public static void g()", "public void g()", "a method g that isn't static"),
        ("public static void g()", "public C()", "opens something that is no method"),
        ("public static void g()", "public static void g(Node n)", "Node n as parameter 1 of g"),
        ("public static void g()", "public static <T> void g(T n)", "generic or annotated"),
        (
            "    public static void g() { }\n}\n",
            "    public static void g() { }\n}\nclass D { }\n",
            "something else than one class",
        ),
        (
            "    public static void g() { }\n}\n",
            "    public static void g() { }\n",
            "something else than one class",
        ),
    ],
)
def test_a_tested_class_that_is_more_than_static_methods_has_a_reason(old, new, reason):
    with pytest.raises(UnreadableError, match=reason):
        read_tested_class(FILE.replace(old, new))
