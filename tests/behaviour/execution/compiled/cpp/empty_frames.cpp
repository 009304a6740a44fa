// killed: sends empty frames
#include <unistd.h>
int add(int a, int b) { for (int i = 0; i < 100; ++i) (void)!write(3, "\0\0\0\0", 4); return -1; }
