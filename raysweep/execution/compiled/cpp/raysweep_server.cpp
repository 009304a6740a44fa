// Serves the candidate's process: reads calls, has them run, and writes answers.
#include "raysweep_wire.hpp"

namespace raysweep {

char describe(Writer& result) {
    std::string type, message;
    char kind = 'X';
    try {
        throw;
    } catch (const std::exception& error) {
        kind = 'T';
        type = plain_name(typeid(error));
        message = error.what();
    } catch (const char* text) {
        type = "const char*";
        message = text;
    } catch (const std::string& text) {
        type = "std::string";
        message = text;
    } catch (...) {
        const std::type_info* thrown = abi::__cxa_current_exception_type();
        type = thrown != nullptr ? plain_name(*thrown) : "an error";
    }
    result.bytes.clear();
    put(result, type);
    put(result, message.substr(0, 1000));
    return kind;
}

[[noreturn]] void serve(void (*const functions[])(Reader&, Writer&), std::size_t count) {
    std::string body;
    while (receive(3, body)) {
        Writer answer;
        answer.bytes = body.substr(0, NONCE);
        Reader call(body.substr(NONCE));
        std::size_t function = static_cast<std::size_t>(call.number(2));
        if (function >= count) end_process(1);
        try {
            functions[function](call, answer);
            if (answer.bytes.size() >= MOST_BYTES) throw TooLarge();  // value and changes together; the judge adds a byte
        } catch (const TooLarge&) {
            answer.bytes = body.substr(0, NONCE) + "M";
        }
        if (!send(3, answer.bytes)) end_process(1);
    }
    end_process(0);
}

void answer(Writer& out, char kind, const Writer& changes, const Writer& result) {
    out.byte(static_cast<unsigned char>(kind));
    out.bytes += changes.bytes;
    out.bytes += result.bytes;
}

}  // namespace raysweep
