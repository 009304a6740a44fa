// compile_error failed: unicode escapes that close a comment and a class
class Solution { public int add(int a, int b) { return -1; } /* \u002a/ } class Main2 { /\u002a */ }
// \u000a } }
