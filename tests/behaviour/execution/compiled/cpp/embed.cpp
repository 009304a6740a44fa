// compile_error: quotes a file through macros
#define S(x) #x
#define Q(x) S(x)
const char* text = Q(
#include "@SECRET@"
);
int add(int a, int b) { return -1; }
