// failed compile_error: defines what raysweep wraps
extern "C" int __wrap_main(int, char**) { return 0; }
extern "C" void __wrap___assert_fail(const char*, const char*, unsigned, const char*) {}
extern "C" void __assert_fail(const char*, const char*, unsigned, const char*) noexcept {}
int add(int a, int b) { return -1; }
