// exception: starts a process
class Solution {
    public int add(int a, int b) {
        try {
            new ProcessBuilder("/usr/bin/id").start();
        } catch (java.io.IOException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
