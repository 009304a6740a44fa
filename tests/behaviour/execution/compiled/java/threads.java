// memory: starts threads without an end
class Solution {
    public int add(int a, int b) {
        while (true) new Thread(() -> {
            try {
                Thread.sleep(1000000);
            } catch (InterruptedException e) {
            }
        }).start();
    }
}
