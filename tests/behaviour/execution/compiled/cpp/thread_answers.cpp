// killed failed: a thread floods the channel with answers while the tests compute
#include <pthread.h>
#include <unistd.h>
#include <string.h>
static char f[26];
static void* flood(void*) { for (int i = 0; i < 2000; ++i) { (void)!write(3, f, 26); usleep(100);} return 0; }
int add(int a, int b) { memcpy(f, "\0\0\0\x16" "0123456789abcdefRi\0\0\0\3", 26); pthread_t t; pthread_create(&t, 0, flood, 0); usleep(2000); return -1; }
