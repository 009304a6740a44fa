// killed: writes to a wild address
int add(int a, int b) {
    *reinterpret_cast<volatile int *>(8) = 1;
    return a + b;
}
