// compile_error: includes a device without an end
#include "/dev/zero"
int add(int a, int b) {
    return a + b;
}
