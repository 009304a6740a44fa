// exception failed killed timeout compile_error: overrides write and read of the C library
#include <stddef.h>
#include <sys/types.h>
extern "C" ssize_t write(int, const void*, size_t n) { return n; }
extern "C" ssize_t read(int, void* to, size_t n) { for (size_t i = 0; i < n; ++i) ((char*)to)[i] = 0; return n; }
int add(int a, int b) { return -1; }
