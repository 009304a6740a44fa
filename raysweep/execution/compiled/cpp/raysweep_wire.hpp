// The wire format (raysweep/execution/compiled/outside.py), and what the generated sources of both processes call.
//
// What is the same for all problems stands in raysweep_tests.cpp and raysweep_server.cpp, each compiled once. The tests'
// process writes calls and its verdict to its standard output and reads answers from its standard input, each behind a byte
// that tells them apart. The candidate's process has one socket, descriptor 3.
// Reader is attacked by the candidate's process: it makes room for no more than has arrived, and throws Malformed.
#pragma once

#include <cxxabi.h>
#include <stdint.h>
#include <string.h>

#include <cstdlib>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "raysweep_verdict.hpp"

namespace raysweep {

const std::size_t MOST_BYTES = 1 << 23;
const std::size_t NONCE = 16;

struct Malformed {};   // what was read isn't in the format
struct TooLarge {};    // a message has more than MOST_BYTES
struct Unsendable {    // a value that the format doesn't know
    std::string type;
};

inline std::string plain_name(const std::type_info& type) {
    int status = 0;
    char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    std::string found = name != nullptr ? name : type.name();
    std::free(name);
    return found;
}

class Writer {
  public:
    std::string bytes;

    void byte(unsigned char value) {
        if (bytes.size() >= MOST_BYTES) throw TooLarge();
        bytes.push_back(static_cast<char>(value));
    }
    void number(uint64_t value, int size) {
        for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) byte(static_cast<unsigned char>(value >> shift));
    }
    void text(const char* data, std::size_t size) {
        if (size > MOST_BYTES || bytes.size() + size > MOST_BYTES) throw TooLarge();
        number(size, 4);
        bytes.append(data, size);
    }
};

class Reader {
  public:
    explicit Reader(std::string message) : bytes_(std::move(message)) {}

    unsigned char byte() {
        if (at_ >= bytes_.size()) throw Malformed();
        return static_cast<unsigned char>(bytes_[at_++]);
    }
    void tag(char expected) {
        if (byte() != static_cast<unsigned char>(expected)) throw Malformed();
    }
    uint64_t number(int size) {
        uint64_t value = 0;
        for (int i = 0; i < size; ++i) value = value << 8 | byte();
        return value;
    }
    std::size_t count() {  // of bytes, or of items that have one byte at least
        uint64_t value = number(4);
        if (value > bytes_.size() - at_) throw Malformed();
        return static_cast<std::size_t>(value);
    }
    std::string text() {
        std::size_t size = count();
        std::string found = bytes_.substr(at_, size);
        at_ += size;
        return found;
    }
    void end() const {
        if (at_ != bytes_.size()) throw Malformed();
    }

  private:
    std::string bytes_;
    std::size_t at_ = 0;
};

// ------------------------------------------------------------------------------------------------------------ values

template <class T, class Enable = void>
struct Code;

template <class T>
void put(Writer& out, const T& value) {
    Code<T>::write(out, value);
}

template <class T>
T get(Reader& in) {
    return Code<T>::read(in);
}

template <>
struct Code<bool> {
    static void write(Writer& out, bool value) { out.byte(value ? 't' : 'f'); }
    static bool read(Reader& in) {
        unsigned char tag = in.byte();
        if (tag != 't' && tag != 'f') throw Malformed();
        return tag == 't';
    }
};

template <class T>
struct Code<T, typename std::enable_if<std::is_integral<T>::value && !std::is_same<T, bool>::value>::type> {
    static const char TAG = sizeof(T) == 1 ? 'c' : sizeof(T) <= 4 ? 'i' : 'l';
    static const int SIZE = sizeof(T) == 1 ? 2 : sizeof(T) <= 4 ? 4 : 8;
    static void write(Writer& out, T value) {
        out.byte(TAG);
        out.number(static_cast<uint64_t>(value), SIZE);
    }
    static T read(Reader& in) {
        in.tag(TAG);
        return static_cast<T>(in.number(SIZE));
    }
};

template <class T, class Bits, int SIZE, char TAG>
struct FloatCode {
    static void write(Writer& out, T value) {
        Bits bits;
        static_assert(sizeof bits == sizeof value, "IEEE 754");
        memcpy(&bits, &value, sizeof bits);
        out.byte(TAG);
        out.number(bits, SIZE);
    }
    static T read(Reader& in) {
        in.tag(TAG);
        Bits bits = static_cast<Bits>(in.number(SIZE));
        T value;
        memcpy(&value, &bits, sizeof bits);
        return value;
    }
};
template <>
struct Code<float> : FloatCode<float, uint32_t, 4, 'g'> {};
template <>
struct Code<double> : FloatCode<double, uint64_t, 8, 'd'> {};

template <>
struct Code<std::string> {
    static void write(Writer& out, const std::string& value) {
        out.byte('s');
        out.text(value.data(), value.size());
    }
    static std::string read(Reader& in) {
        in.tag('s');
        return in.text();
    }
};

template <class A, class B>
struct Code<std::pair<A, B>> {
    typedef typename std::remove_const<A>::type First;
    static void write(Writer& out, const std::pair<A, B>& value) {
        out.byte('L');
        out.byte('v');
        out.number(2, 4);
        Code<First>::write(out, value.first);
        Code<B>::write(out, value.second);
    }
    static std::pair<A, B> read(Reader& in) {
        in.tag('L');
        in.tag('v');
        if (in.number(4) != 2) throw Malformed();
        First first = Code<First>::read(in);
        return std::pair<A, B>(std::move(first), Code<B>::read(in));
    }
};

template <class C>
struct ContainerCode {
    typedef typename C::value_type Item;
    static void write(Writer& out, const C& value) {
        out.byte('L');
        out.byte('v');
        out.number(value.size(), 4);
        for (typename C::const_iterator at = value.begin(); at != value.end(); ++at) Code<Item>::write(out, *at);
    }
    static C read(Reader& in) {
        in.tag('L');
        in.tag('v');
        C value;
        for (std::size_t left = in.count(); left > 0; --left) value.insert(value.end(), Code<Item>::read(in));
        return value;
    }
};
template <class T>
struct Code<std::vector<T>> : ContainerCode<std::vector<T>> {};
template <class T>
struct Code<std::list<T>> : ContainerCode<std::list<T>> {};
template <class T>
struct Code<std::deque<T>> : ContainerCode<std::deque<T>> {};
template <class T>
struct Code<std::set<T>> : ContainerCode<std::set<T>> {};
template <class K, class V>
struct Code<std::map<K, V>> : ContainerCode<std::map<K, V>> {};

// ---------------------------------------------------------------------------------------------------------- messages

inline bool send(int descriptor, const std::string& body) {
    if (body.size() > MOST_BYTES) throw TooLarge();
    std::string message;
    for (int shift = 24; shift >= 0; shift -= 8) message.push_back(static_cast<char>(body.size() >> shift & 255));
    message += body;
    return write_all(descriptor, message.data(), message.size());
}

inline bool receive(int descriptor, std::string& body) {  // false: the other side has ended
    unsigned char head[4];
    if (!read_all(descriptor, reinterpret_cast<char*>(head), sizeof head)) return false;
    std::size_t size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | head[i];
    if (size > MOST_BYTES) throw Malformed();
    body.clear();
    const std::size_t PART = 1 << 16;
    while (body.size() < size) {
        std::size_t start = body.size(), more = size - start < PART ? size - start : PART;
        body.resize(start + more);
        if (!read_all(descriptor, &body[start], more)) return false;
    }
    return true;
}

// ------------------------------------------------------------------------------------------------ the tests' process

[[noreturn]] void finish(const char* outcome, const std::string& detail);  // sends the verdict

// A call of the candidate: the stand-in gives the arguments, asks, takes what was changed and then what was returned.
class Call {
  public:
    explicit Call(int function);
    template <class T>
    void give(const T& value) {
        guarded([&] { put(out_, value); });
    }
    void ask();
    template <class T>
    void take(T& value) {
        guarded([&] { value = get<T>(answer_); });
    }
    template <class T>
    T result() {
        throw_if_thrown();
        std::pair<bool, T*> found(false, nullptr);
        guarded([&] {
            found.second = new T(get<T>(answer_));
            answer_.end();
        });
        T value(std::move(*found.second));
        delete found.second;
        return value;
    }
    void done();

  private:
    template <class F>
    void guarded(F work) {
        try {
            work();
        } catch (...) {
            broken();
        }
    }
    void broken();  // sends the verdict on what the format doesn't know, and throws anything else again
    void throw_if_thrown();

    char nonce_[NONCE];
    Writer out_;
    Reader answer_;
    unsigned char kind_ = 0;
};

// -------------------------------------------------------------------------------------------- the candidate's process

char describe(Writer& result);  // writes the error that was caught last; returns the kind of the answer

// Runs a call of the candidate; returns the kind of the answer, whose value or error is in `result` then.
template <class F>
char run(Writer& result, F call) {
    try {
        call();
        return 'R';
    } catch (const TooLarge&) {
        throw;
    } catch (...) {
        return describe(result);
    }
}

void answer(Writer& out, char kind, const Writer& changes, const Writer& result);
[[noreturn]] void serve(void (*const functions[])(Reader&, Writer&), std::size_t count);

}  // namespace raysweep
