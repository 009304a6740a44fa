// compile_error: nests expressions deeply
class Solution {
    @NESTED@
    public int add(int a, int b) {
        return a + b;
    }
}
