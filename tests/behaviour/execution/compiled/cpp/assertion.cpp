// failed: fails an assertion of its own before it is asked
#undef NDEBUG
#include <cassert>
static int early = [] { assert(1 + 1 == 3); return 0; }();
int add(int a, int b) {
    return a + b + early;
}
