// exception: reads a file of the machine
class Solution {
    public int add(int a, int b) {
        try {
            throw new RuntimeException(java.nio.file.Files.readString(java.nio.file.Path.of("@SECRET@")));
        } catch (java.io.IOException e) {
            throw new IllegalStateException("refused");
        }
    }
}
