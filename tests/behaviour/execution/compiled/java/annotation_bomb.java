// compile_error: is too large for a class file
class Solution {
    @BOMB@
    public int add(int a, int b) {
        return a + b;
    }
}
