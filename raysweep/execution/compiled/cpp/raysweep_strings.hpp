// Says of the templates behind std::stoi, std::to_string and the like that they are compiled elsewhere, in
// raysweep_strings.cpp. Else g++ makes all of them for every text that includes <string>.
#include <string>
#ifndef RAYSWEEP_STRINGS
#define RAYSWEEP_STRINGS extern
#endif
namespace std {
namespace __detail {
RAYSWEEP_STRINGS template void __to_chars_10_impl(char*, unsigned, unsigned);
RAYSWEEP_STRINGS template void __to_chars_10_impl(char*, unsigned, unsigned long);
RAYSWEEP_STRINGS template void __to_chars_10_impl(char*, unsigned, unsigned long long);
}
}
namespace __gnu_cxx {
#define RAYSWEEP_WHOLE(READ, T, C) \
    RAYSWEEP_STRINGS template T __stoa<READ, T, C, int>( \
        READ (*)(const C*, C**, int), const char*, const C*, std::size_t*, int);
#define RAYSWEEP_FLOAT(T, C) \
    RAYSWEEP_STRINGS template T __stoa<T, T, C>(T (*)(const C*, C**), const char*, const C*, std::size_t*);
#define RAYSWEEP_NUMBERS(C, STRING) \
    RAYSWEEP_WHOLE(long, int, C) \
    RAYSWEEP_WHOLE(long, long, C) \
    RAYSWEEP_WHOLE(unsigned long, unsigned long, C) \
    RAYSWEEP_WHOLE(long long, long long, C) \
    RAYSWEEP_WHOLE(unsigned long long, unsigned long long, C) \
    RAYSWEEP_FLOAT(float, C) \
    RAYSWEEP_FLOAT(double, C) \
    RAYSWEEP_FLOAT(long double, C) \
    RAYSWEEP_STRINGS template STRING __to_xstring<STRING, C>( \
        int (*)(C*, std::size_t, const C*, __builtin_va_list), std::size_t, const C*, ...);
RAYSWEEP_NUMBERS(char, std::string)
RAYSWEEP_NUMBERS(wchar_t, std::wstring)
#undef RAYSWEEP_STRINGS
#undef RAYSWEEP_WHOLE
#undef RAYSWEEP_FLOAT
#undef RAYSWEEP_NUMBERS
}
