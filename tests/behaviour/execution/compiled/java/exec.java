// exception: runs a shell
class Solution {
    public int add(int a, int b) {
        try {
            Runtime.getRuntime().exec(new String[] {"/bin/sh", "-c", "touch /tmp/raysweep-was-here"});
        } catch (java.io.IOException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
