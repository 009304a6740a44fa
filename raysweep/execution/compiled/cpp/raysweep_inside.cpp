// Runs tests in the candidate's own process. Descriptor 3 gives a frame of 16 bytes before the candidate's constructors;
// when the tests have returned they are shown, and a frame of 16 further bytes comes, which a pass needs.
// A guard against what models write, no boundary: program and tests share a process.
// Who gets a verdict kills this process: what stderr is to hold is written before, and nothing is done afterwards.
// Linked with --wrap=main and --wrap=__assert_fail.
#include <cxxabi.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <exception>
#include <new>
#include <typeinfo>

#include "raysweep_verdict.hpp"

extern "C" int __real_main(int, char**);

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

static void begin() {
    if (!receive(token)) _exit(1);
}

// Before all constructors. It is linked first, so it also comes before what a candidate puts there.
__attribute__((section(".preinit_array"), used)) static void (*const begin_first)() = begin;

[[noreturn]] static void end(const char* outcome, const char* detail, size_t size) {
    send_verdict(3, outcome, detail, size);
    end_process(1);
}

[[noreturn]] static void end(const char* outcome, const char* detail) { end(outcome, detail, strlen(detail)); }

[[noreturn]] static void thrown(const std::type_info& type, const char* message) {
    char detail[400];
    int status = 0;
    char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    size_t size = 0;
    const char* const parts[] = {name != nullptr ? name : type.name(), ": ", message};
    for (const char* part : parts) {
        while (*part != 0 && size < sizeof detail) detail[size++] = *part++;
    }
    end("exception", detail, size);
}

}  // namespace raysweep

extern "C" void __wrap___assert_fail(const char* text, const char* file, unsigned line, const char* function) {
    const char* const where = function != nullptr ? function : "";
    char message[2000];  // as the C library writes it
    int size = snprintf(
        message, sizeof message, "%s: %s:%u: %s%sAssertion `%s' failed.\n", program_invocation_short_name, file, line,
        where, *where != 0 ? ": " : "", text);
    fflush(stderr);
    raysweep::write_all(2, message, std::min(static_cast<size_t>(std::max(size, 0)), sizeof message - 1));
    char detail[400] = "Assertion `";
    strncat(detail, text, 300);
    strcat(detail, "' failed.");
    raysweep::end("failed", detail);
}

extern "C" int __wrap_main(int count, char** values) {
    int code = 1;
    try {
        code = __real_main(count, values);
    } catch (const std::bad_alloc&) {
        raysweep::end("memory", "std::bad_alloc");
    } catch (const std::exception& error) {
        raysweep::thrown(typeid(error), error.what());
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        raysweep::thrown(type != nullptr ? *type : typeid(void), "");
    }
    if (code != 0) raysweep::end("failed", "main did not return 0");
    char secret[raysweep::SIZE];
    const bool passed = raysweep::show('D', raysweep::token) && raysweep::receive(secret) && raysweep::show('S', secret);
    raysweep::end_process(passed ? 0 : 1);
}
