// failed: a class whose name has an ignorable character and a sign of money
class Solution { public int add(int a, int b) { return new \u20acA().x; } }
class \u20acA { int x = -1; }
class B\u0001C { }
