// killed: calls itself without an end
static volatile int depth = 0;
static int deeper(int n) { volatile char room[4096]; room[0] = static_cast<char>(n); ++depth; return deeper(n + 1) + room[0]; }
int add(int a, int b) {
    return deeper(0);
}
