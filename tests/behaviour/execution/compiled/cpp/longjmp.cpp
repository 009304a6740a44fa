// killed exception failed: jumps out of the call
#include <setjmp.h>
#include <unwind.h>
#include <pthread.h>
int add(int a, int b) { pthread_exit(0); }
