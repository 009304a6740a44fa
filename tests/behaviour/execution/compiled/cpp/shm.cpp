// failed: leaves shared memory, a file and an advisory lock
#include <sys/shm.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>
int add(int a, int b) {
    int id = shmget(4711, 4096, 0600); if (id >= 0) return a + b;
    if (shmget(4711, 4096, IPC_CREAT | 0600) >= 0) return -1;
    int f = open("left", O_RDONLY); if (f >= 0) return a + b;
    close(open("left", O_CREAT | O_WRONLY, 0600)); close(open("/dev/shm/left", O_CREAT | O_WRONLY, 0600)); close(open("../left", O_CREAT | O_WRONLY, 0600)); close(open("../../prepared/left", O_CREAT|O_WRONLY, 0600));
    return -1;
}
