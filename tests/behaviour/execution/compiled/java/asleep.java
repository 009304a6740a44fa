// timeout: sleeps
class Solution {
    public int add(int a, int b) {
        try {
            Thread.sleep(1000000);
        } catch (InterruptedException e) {
        }
        return a + b;
    }
}
