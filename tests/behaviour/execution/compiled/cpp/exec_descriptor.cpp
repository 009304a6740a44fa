// killed failed: replaces itself by an open file
#include <fcntl.h>
#include <unistd.h>
#include <sys/syscall.h>
int add(int a, int b) {
    char *const none[] = {0};
    syscall(SYS_execveat, open("/bin/true", O_RDONLY), "", none, none, 0x1000);
    return -1;
}
