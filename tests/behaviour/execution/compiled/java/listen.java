// exception: listens
class Solution {
    public int add(int a, int b) {
        try {
            new java.net.ServerSocket(0).close();
        } catch (java.io.IOException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
