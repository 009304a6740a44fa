// memory: takes all memory
class Solution {
    public int add(int a, int b) {
        java.util.List<long[]> all = new java.util.ArrayList<>();
        while (true) all.add(new long[1 << 20]);
    }
}
