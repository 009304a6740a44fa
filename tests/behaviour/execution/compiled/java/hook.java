// killed timeout: sleeps in a shutdown hook
class Solution {
    public int add(int a, int b) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            while (true) try {
                Thread.sleep(1000);
            } catch (InterruptedException e) {
            }
        }));
        System.exit(0);
        return 0;
    }
}
