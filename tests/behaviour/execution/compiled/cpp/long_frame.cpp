// killed: announces an answer of four GiB
#include <unistd.h>
int add(int a, int b) {
    (void)!write(3, "\xff\xff\xff\xff", 4);
    for (;;) pause();
}
