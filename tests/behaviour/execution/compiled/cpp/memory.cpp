// memory: takes all memory
#include <vector>
int add(int a, int b) {
    std::vector<std::vector<long>> all;
    for (;;) all.emplace_back(1 << 20, 1L);
}
