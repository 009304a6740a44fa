// timeout: sleeps
#include <unistd.h>
int add(int a, int b) {
    sleep(100000);
    return a + b;
}
