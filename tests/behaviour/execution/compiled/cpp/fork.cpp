// killed failed: forks, and answers wrongly if it can't
#include <unistd.h>
int add(int a, int b) {
    return fork() < 0 ? -1 : a + b;
}
