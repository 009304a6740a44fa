// timeout: sends its answer byte by byte, slowly
#include <unistd.h>
int add(int a, int b) { for (int i = 0;; ++i) { (void)!write(3, "\0", 1); usleep(300000); if (i == 0) (void)!write(3, "\1\0\0", 3);} }
