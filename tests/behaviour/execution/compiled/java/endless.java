// timeout: never ends
class Solution {
    public int add(int a, int b) {
        while (true) {
        }
    }
}
