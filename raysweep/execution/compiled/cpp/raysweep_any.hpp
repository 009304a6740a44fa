// Sends what a boost::any holds. The tests' process defines RAYSWEEP_TESTS: it sends nothing that the format doesn't know.
#pragma once

#include <boost/any.hpp>

#include "raysweep_wire.hpp"

namespace raysweep {

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

}  // namespace raysweep
