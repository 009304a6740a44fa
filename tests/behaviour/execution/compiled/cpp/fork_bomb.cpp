// killed failed timeout: forks without an end
#include <unistd.h>
int add(int a, int b) {
    for (int i = 0; i < 100000; ++i) if (fork() == 0) i = 0;
    return -1;
}
