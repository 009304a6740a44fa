// failed: switches assertions off
#define NDEBUG 1
#include <assert.h>
#pragma GCC poison NDEBUG_OFF
int add(int a, int b) { return -1; }
