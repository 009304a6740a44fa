// failed compile_error: brings a class Main
class Solution { public int add(int a, int b) { return -1; } }
class Main { public static void main(String[] a) { } }
