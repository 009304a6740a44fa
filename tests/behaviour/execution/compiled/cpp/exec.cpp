// killed failed: replaces itself by a program of the machine
#include <unistd.h>
int add(int a, int b) {
    char *const none[] = {0};
    execv("/usr/bin/id", none);
    return -1;
}
