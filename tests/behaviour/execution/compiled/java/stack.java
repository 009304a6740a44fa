// exception: calls itself without an end
class Solution { public int add(int a, int b) { return add(b, a) + 1; } }
