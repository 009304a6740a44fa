// killed failed compile_error: a class that is called as raysweep's package
class raysweep { static class Server { interface Candidate {} static void serve(Object o) { System.exit(0); } } static class Wire {} }
class Solution { public int add(int a, int b) { return -1; } }
