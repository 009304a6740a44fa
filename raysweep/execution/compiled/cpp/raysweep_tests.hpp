// Runs the tests' main in a process of its own and sends their verdict. Included by the stand-in.
// Linked with --wrap=main and --wrap=__assert_fail.
#pragma once
#define RAYSWEEP_TESTS
#include "raysweep_wire.hpp"

#include <fcntl.h>

extern "C" int __real_main(int, char**);

namespace raysweep {

int calls = -1, answers = -1;

[[noreturn]] void finish(const char* outcome, const std::string& detail) {
    send_verdict(calls, outcome, detail.data(), detail.size());
    _exit(0);
}

static void crashed(int) {
    send_verdict(calls, "killed", "the tests crashed at an answer");
    _exit(0);
}

// Before the tests' own static objects, which may call the candidate and must not write to standard output.
__attribute__((constructor(101))) static void begin() {
    answers = fcntl(0, F_DUPFD, 3);
    calls = fcntl(1, F_DUPFD, 3);
    int nothing = open("/dev/null", O_RDWR);
    if (answers < 0 || calls < 0 || nothing < 0) _exit(1);
    dup2(nothing, 0);
    dup2(nothing, 1);
    signal(SIGPIPE, SIG_IGN);
    static char stack[1 << 16];  // for a handler that runs after a stack overflow
    stack_t other = {};
    other.ss_sp = stack;
    other.ss_size = sizeof stack;
    sigaltstack(&other, nullptr);
    struct sigaction action = {};
    action.sa_handler = crashed;
    action.sa_flags = SA_ONSTACK;
    const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (int one : SIGNALS) sigaction(one, &action, nullptr);
}

}  // namespace raysweep

extern "C" void __wrap___assert_fail(const char* text, const char*, unsigned, const char*) {
    raysweep::finish("failed", std::string("Assertion `") + text + "' failed.");
}

extern "C" int __wrap_main(int count, char** values) {
    int code = 0;
    try {
        code = __real_main(count, values);
    } catch (const std::bad_alloc&) {
        raysweep::finish("memory", "std::bad_alloc");
    } catch (const raysweep::Thrown& error) {
        raysweep::finish("exception", error.text);
    } catch (const raysweep::ThrownOther& error) {
        raysweep::finish("exception", error.text);
    } catch (const std::exception& error) {
        raysweep::finish("exception", raysweep::plain_name(typeid(error)) + ": " + error.what());
    } catch (...) {
        raysweep::finish("exception", "an error that is no std::exception");
    }
    if (code != 0) raysweep::finish("failed", "main returned " + std::to_string(code));
    raysweep::finish("passed", "");
}
