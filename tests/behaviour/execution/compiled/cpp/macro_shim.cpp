// compile_error failed: macros that change what follows the program
int add(int a, int b) { return -1; }
#define raysweep_call_0(...) other()
#define assert(x) ((void)0)
#define static_cast reinterpret_cast
