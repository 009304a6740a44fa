// Runs tests in the candidate's own process. Descriptor 3 gives a frame of 16 bytes before the candidate's first
// instruction; when the tests have returned they are shown, and a frame of 16 further bytes comes, which a pass needs.
// A guard against what models write, no boundary: program and tests share a process.
// Linked with --wrap=main and --wrap=__assert_fail.
#include <cxxabi.h>
#include <stdlib.h>

#include <exception>
#include <new>
#include <typeinfo>

#include "raysweep_verdict.hpp"

extern "C" int __real_main(int, char**);
extern "C" [[noreturn]] void __real___assert_fail(const char*, const char*, unsigned, const char*);

namespace raysweep {

static const char SIZE = 16;
static char token[SIZE];

static bool receive(char* data) {
    char head[4];
    static const char EXPECTED[4] = {0, 0, 0, SIZE};
    return read_all(3, head, sizeof head) && memcmp(head, EXPECTED, sizeof head) == 0 && read_all(3, data, SIZE);
}

static bool show(char kind, const char* data) {
    char frame[5 + SIZE] = {0, 0, 0, 1 + SIZE, kind};
    memcpy(frame + 5, data, SIZE);
    return write_all(3, frame, sizeof frame);
}

__attribute__((constructor(101))) static void begin() {
    if (!receive(token)) _exit(1);
}

static void thrown(const std::type_info& type, const char* message) {
    char detail[400];
    int status = 0;
    char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    size_t size = 0;
    const char* const parts[] = {name != nullptr ? name : type.name(), ": ", message};
    for (const char* part : parts) {
        while (*part != 0 && size < sizeof detail) detail[size++] = *part++;
    }
    send_verdict(3, "exception", detail, size);
}

}  // namespace raysweep

extern "C" void __wrap___assert_fail(const char* text, const char* file, unsigned line, const char* function) {
    char detail[400] = "Assertion `";
    strncat(detail, text, 300);
    strcat(detail, "' failed.");
    raysweep::send_verdict(3, "failed", detail);
    __real___assert_fail(text, file, line, function);
}

extern "C" int __wrap_main(int count, char** values) {
    int code = 1;
    try {
        code = __real_main(count, values);
    } catch (const std::bad_alloc&) {
        raysweep::send_verdict(3, "memory", "std::bad_alloc");
        return 1;
    } catch (const std::exception& error) {
        raysweep::thrown(typeid(error), error.what());
        return 1;
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        raysweep::thrown(type != nullptr ? *type : typeid(void), "");
        return 1;
    }
    if (code != 0) {
        raysweep::send_verdict(3, "failed", "main did not return 0");
        return code;
    }
    char secret[raysweep::SIZE];
    return raysweep::show('D', raysweep::token) && raysweep::receive(secret) && raysweep::show('S', secret) ? 0 : 1;
}
