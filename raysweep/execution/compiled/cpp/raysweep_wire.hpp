// The wire format (raysweep/execution/compiled/outside.py), and what the processes of tests and candidate do with it.
//
// The tests' process defines RAYSWEEP_TESTS. It writes calls and its verdict to its standard output and reads answers from
// its standard input, each behind a byte that tells them apart. The candidate's process has one socket, descriptor 3.
// Reader is attacked by the candidate's process: it makes room for no more than has arrived, and throws Malformed.
#pragma once

#include <cxxabi.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include <cstdlib>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "raysweep_verdict.hpp"
#ifdef RAYSWEEP_ANY
#include <boost/any.hpp>
#endif

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

#ifdef RAYSWEEP_ANY
struct Opaque {  // a value in an any that the candidate's process couldn't send
    std::string type;
};

template <>
struct Code<boost::any> {
    template <class T>
    static const T* in(const boost::any& value) {
        return boost::any_cast<T>(&value);
    }
    static void write(Writer& out, const boost::any& value) {
        if (value.empty()) {
            out.byte('n');
        } else if (const bool* a = in<bool>(value)) {
            put(out, *a);
        } else if (const char* b = in<char>(value)) {
            put(out, *b);
        } else if (const int* c = in<int>(value)) {
            put(out, *c);
        } else if (const long* d = in<long>(value)) {
            put(out, *d);
        } else if (const long long* e = in<long long>(value)) {
            out.byte('q');
            out.number(static_cast<uint64_t>(*e), 8);
        } else if (const float* f = in<float>(value)) {
            put(out, *f);
        } else if (const double* g = in<double>(value)) {
            put(out, *g);
        } else if (const std::string* h = in<std::string>(value)) {
            put(out, *h);
        } else if (const char* const* i = in<const char*>(value)) {
            out.byte('z');
            out.text(*i, strlen(*i));
        } else {
            other(out, value);
        }
    }
    static void other(Writer& out, const boost::any& value) {
#ifdef RAYSWEEP_TESTS
        (void)out;
        if (in<Opaque>(value) != nullptr) throw Malformed();  // an answer that becomes an argument
        throw Unsendable{plain_name(value.type())};
#else
        std::string type = plain_name(value.type());
        out.byte('x');
        out.text(type.data(), type.size());
#endif
    }
    static boost::any read(Reader& in) {
        unsigned char tag = in.byte();
        switch (tag) {
            case 'n': return boost::any();
            case 't': return boost::any(true);
            case 'f': return boost::any(false);
            case 'c': return boost::any(static_cast<char>(in.number(2)));
            case 'i': return boost::any(static_cast<int>(in.number(4)));
            case 'l': return boost::any(static_cast<long>(in.number(8)));
            case 'q': return boost::any(static_cast<long long>(in.number(8)));
            case 'g': return boost::any(untagged<float, uint32_t>(in.number(4)));
            case 'd': return boost::any(untagged<double, uint64_t>(in.number(8)));
            case 's': return boost::any(in.text());
            case 'z': {
                static std::list<std::string> kept;  // such a pointer owns nothing
                kept.push_back(in.text());
                return boost::any(static_cast<const char*>(kept.back().c_str()));
            }
            case 'x': return boost::any(Opaque{in.text()});
            default: throw Malformed();
        }
    }
    template <class T, class Bits>
    static T untagged(uint64_t number) {
        Bits bits = static_cast<Bits>(number);
        T value;
        memcpy(&value, &bits, sizeof bits);
        return value;
    }
};
#endif

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

#ifdef RAYSWEEP_TESTS
// ------------------------------------------------------------------------------------------------ the tests' process

// In the harness:
[[noreturn]] void finish(const char* outcome, const std::string& detail);
extern int calls, answers;  // descriptors

struct Thrown : std::exception {  // a std::exception of the candidate's that none of the standard ones stands for
    std::string text;
    explicit Thrown(const std::string& what) : text(what) {}
    const char* what() const noexcept override { return text.c_str(); }
};
struct ThrownOther {  // something else that it threw
    std::string text;
};

[[noreturn]] inline void rethrow(bool standard, const std::string& type, const std::string& message) {
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

// A call of the candidate: the stand-in gives the arguments, asks, takes what was changed and then what was returned.
class Call {
  public:
    explicit Call(int function) : answer_(std::string()) {
        std::size_t have = 0;
        while (have < NONCE) {
            ssize_t more = getrandom(nonce_ + have, NONCE - have, 0);
            if (more > 0) have += static_cast<std::size_t>(more);
        }
        out_.bytes = "C";
        out_.bytes.append(nonce_, NONCE);
        out_.number(static_cast<uint64_t>(function), 2);
    }
    template <class T>
    void give(const T& value) {
        guarded([&] { put(out_, value); });
    }
    void ask() {
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
    void done() {
        throw_if_thrown();
        guarded([&] {
            answer_.tag('n');
            answer_.end();
        });
    }

  private:
    template <class F>
    void guarded(F work) {
        try {
            work();
        } catch (const Malformed&) {
            finish("killed", "an answer of its process can't be read");
        } catch (const TooLarge&) {
            finish("memory", "a call is too large to be sent");
        } catch (const Unsendable& value) {
            finish("harness_error", "an argument holds a value of the type " + value.type);
        }
    }
    void throw_if_thrown() {
        if (kind_ == 'R') return;
        std::string type, message;
        guarded([&] {
            type = get<std::string>(answer_);
            message = get<std::string>(answer_);
            answer_.end();
        });
        rethrow(kind_ == 'T', type, message);
    }

    char nonce_[NONCE];
    Writer out_;
    Reader answer_;
    unsigned char kind_ = 0;
};

#else
// -------------------------------------------------------------------------------------------- the candidate's process

// Runs a call of the candidate; returns the kind of the answer, whose value or error is in `result` then.
template <class F>
char run(Writer& result, F call) {
    std::string type, message;
    char kind = 'R';
    try {
        call();
        return kind;
    } catch (const TooLarge&) {
        throw;
    } catch (const std::exception& error) {
        kind = 'T';
        type = plain_name(typeid(error));
        message = error.what();
    } catch (const char* text) {
        kind = 'X';
        type = "const char*";
        message = text;
    } catch (const std::string& text) {
        kind = 'X';
        type = "std::string";
        message = text;
    } catch (...) {
        kind = 'X';
        const std::type_info* thrown = abi::__cxa_current_exception_type();
        type = thrown != nullptr ? plain_name(*thrown) : "an error";
    }
    result.bytes.clear();
    put(result, type);
    put(result, message.substr(0, 1000));
    return kind;
}

[[noreturn]] inline void serve(void (*const functions[])(Reader&, Writer&), std::size_t count) {
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

inline void answer(Writer& out, char kind, const Writer& changes, const Writer& result) {
    out.byte(static_cast<unsigned char>(kind));
    out.bytes += changes.bytes;
    out.bytes += result.bytes;
}
#endif

}  // namespace raysweep
