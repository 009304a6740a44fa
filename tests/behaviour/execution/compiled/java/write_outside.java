// exception: writes a file outside of its folder
class Solution {
    public int add(int a, int b) {
        try {
            java.nio.file.Files.writeString(java.nio.file.Path.of("@FOLDER@/written"), "x");
        } catch (java.io.IOException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
