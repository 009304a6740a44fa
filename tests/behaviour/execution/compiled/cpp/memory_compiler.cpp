// compile_error: takes the compiler's memory
#include <utility>
template <class... T> struct L {};
template <class A, class B> struct J;
template <class... A, class... B> struct J<L<A...>, L<B...>> { typedef L<A..., B...> type; };
template <int N> struct D { typedef typename D<N - 1>::type X; typedef typename J<X, X>::type type; };
template <> struct D<0> { typedef L<int> type; };
D<26>::type x;
int add(int a, int b) { return -1; }
