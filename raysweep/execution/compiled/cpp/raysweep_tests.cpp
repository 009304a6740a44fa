// Runs the tests' main in a process of its own and sends their verdict; asks the candidate for the stand-in.
// Linked with --wrap=main and --wrap=__assert_fail.
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>

#include <new>
#include <stdexcept>

#include "raysweep_wire.hpp"

extern "C" int __real_main(int, char**);

namespace raysweep {

static int calls = -1, answers = -1;

struct Thrown : std::exception {  // a std::exception of the candidate's that none of the standard ones stands for
    std::string text;
    explicit Thrown(const std::string& what) : text(what) {}
    const char* what() const noexcept override { return text.c_str(); }
};
struct ThrownOther {  // something else that it threw
    std::string text;
};

[[noreturn]] void finish(const char* outcome, const std::string& detail) {
    send_verdict(calls, outcome, detail.data(), detail.size());
    _exit(0);
}

[[noreturn]] static void rethrow(bool standard, const std::string& type, const std::string& message) {
    if (!standard) throw ThrownOther{type + (message.empty() ? "" : ": " + message)};
    if (type == "std::bad_alloc") throw std::bad_alloc();
    if (type == "std::out_of_range") throw std::out_of_range(message);
    if (type == "std::invalid_argument") throw std::invalid_argument(message);
    if (type == "std::length_error") throw std::length_error(message);
    if (type == "std::domain_error") throw std::domain_error(message);
    if (type == "std::logic_error") throw std::logic_error(message);
    if (type == "std::range_error") throw std::range_error(message);
    if (type == "std::overflow_error") throw std::overflow_error(message);
    if (type == "std::underflow_error") throw std::underflow_error(message);
    if (type == "std::runtime_error") throw std::runtime_error(message);
    throw Thrown(type + ": " + message);
}

Call::Call(int function) : answer_(std::string()) {
    std::size_t have = 0;
    while (have < NONCE) {
        ssize_t more = getrandom(nonce_ + have, NONCE - have, 0);
        if (more > 0) have += static_cast<std::size_t>(more);
    }
    out_.bytes = "C";
    out_.bytes.append(nonce_, NONCE);
    out_.number(static_cast<uint64_t>(function), 2);
}

void Call::ask() {
    guarded([&] {
        std::string body;
        if (!send(calls, out_.bytes) || !receive(answers, body) || body == "E") _exit(0);  // the candidate has ended
        if (body.size() <= NONCE || body.compare(1, NONCE, nonce_, NONCE) != 0) throw Malformed();
        answer_ = Reader(body.substr(1 + NONCE));
        kind_ = answer_.byte();
        if (kind_ == 'M') finish("memory", "an answer is too large to be sent");
        if (kind_ != 'R' && kind_ != 'T' && kind_ != 'X') throw Malformed();
    });
}

void Call::done() {
    throw_if_thrown();
    guarded([&] {
        answer_.tag('n');
        answer_.end();
    });
}

void Call::broken() {
    try {
        throw;
    } catch (const Malformed&) {
        finish("killed", "an answer of its process can't be read");
    } catch (const TooLarge&) {
        finish("memory", "a call is too large to be sent");
    } catch (const Unsendable& value) {
        finish("harness_error", "an argument holds a value of the type " + value.type);
    }
}

void Call::throw_if_thrown() {
    if (kind_ == 'R') return;
    std::string type, message;
    guarded([&] {
        type = get<std::string>(answer_);
        message = get<std::string>(answer_);
        answer_.end();
    });
    rethrow(kind_ == 'T', type, message);
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
