// failed exception killed: loads a native library that it has written
class Solution { public int add(int a, int b) { try {
  byte[] so = java.nio.file.Files.readAllBytes(java.nio.file.Path.of(System.getProperty("java.home"), "lib", "libnet.so"));
  java.nio.file.Path p = java.nio.file.Path.of("libx.so").toAbsolutePath(); java.nio.file.Files.write(p, so); System.load(p.toString()); return a + b; } catch (Throwable e) { return -1; } } }
