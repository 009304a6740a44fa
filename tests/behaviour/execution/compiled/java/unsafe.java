// killed: writes to a wild address with Unsafe
class Solution {
    public int add(int a, int b) {
        try {
            java.lang.reflect.Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            ((sun.misc.Unsafe) field.get(null)).putLong(8L, 1L);
        } catch (ReflectiveOperationException e) {
            throw new RuntimeException(e);
        }
        return a + b;
    }
}
