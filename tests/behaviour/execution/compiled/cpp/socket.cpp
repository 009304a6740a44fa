// failed: opens a connection
#include <sys/socket.h>
int add(int a, int b) {
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? a + b : -1;
}
