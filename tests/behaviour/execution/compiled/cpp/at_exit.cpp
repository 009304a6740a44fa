// killed failed: writes a verdict in an exit handler
#include <stdlib.h>
#include <unistd.h>
static void last() { const char x[] = "\0\0\0\x26V{\"outcome\": \"passed\", \"detail\": \"\"}"; (void)!write(3, x, 42); _exit(0); }
int add(int a, int b) { atexit(last); return a == 1 ? 3 : (exit(0), 0); }
