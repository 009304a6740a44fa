// Says of the templates behind the special functions of <cmath> (beta, hermite and others) that they are compiled elsewhere.
// Else g++ makes all of them for every text that includes <cmath>, which takes longer than most programs. They are in fact
// nowhere: a program that uses one can't be linked, and is compiled again without this header.
#include <cmath>
#if _GLIBCXX_USE_STD_SPEC_FUNCS
#define RAYSWEEP_ELSEWHERE(T) \
    extern template T __poly_laguerre(unsigned, unsigned, T); \
    extern template T __assoc_legendre_p(unsigned, unsigned, T, T); \
    extern template T __beta_lgamma(T, T); \
    extern template T __comp_ellint_1(T); \
    extern template T __comp_ellint_2(T); \
    extern template T __comp_ellint_3(T, T); \
    extern template T __cyl_bessel_i(T, T); \
    extern template T __cyl_bessel_j(T, T); \
    extern template T __cyl_bessel_k(T, T); \
    extern template T __cyl_neumann_n(T, T); \
    extern template T __ellint_1(T, T); \
    extern template T __ellint_2(T, T); \
    extern template T __ellint_3(T, T, T); \
    extern template T __expint_Ei(T); \
    extern template T __poly_hermite_recursion(unsigned, T); \
    extern template T __poly_legendre_p(unsigned, T); \
    extern template T __riemann_zeta(T); \
    extern template T __sph_bessel(unsigned, T); \
    extern template T __sph_legendre(unsigned, unsigned, T); \
    extern template T __sph_neumann(unsigned, T); \
    extern template T __conf_hyperg(T, T, T); \
    extern template T __hyperg(T, T, T, T); \
    extern template void __airy(T, T&, T&, T&, T&);
namespace std {
namespace __detail {
RAYSWEEP_ELSEWHERE(float)
RAYSWEEP_ELSEWHERE(double)
RAYSWEEP_ELSEWHERE(long double)
}
}
#undef RAYSWEEP_ELSEWHERE
#endif
