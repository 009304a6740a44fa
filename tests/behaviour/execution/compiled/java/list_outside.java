// exception: lists the folder of the machine
class Solution {
    public int add(int a, int b) {
        String[] names = new java.io.File("@FOLDER@").list();
        if (names == null) throw new IllegalStateException("refused");
        return a + b;
    }
}
