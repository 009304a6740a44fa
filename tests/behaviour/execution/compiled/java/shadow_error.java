// failed compile_error: an error of its own in place of the tests' one
class AssertionError { }
class Solution { public int add(int a, int b) { return -1; } }
