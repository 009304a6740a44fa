// exception: opens a connection
class Solution {
    public int add(int a, int b) {
        try {
            new java.net.Socket("127.0.0.1", 22).close();
        } catch (java.io.IOException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
