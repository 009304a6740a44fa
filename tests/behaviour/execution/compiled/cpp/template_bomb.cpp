// compile_error: keeps the compiler busy
template <int N, int M> struct Bomb { static const int value = Bomb<N - 1, M>::value + Bomb<N - 1, M + 1>::value; };
template <int M> struct Bomb<0, M> { static const int value = 1; };
int add(int a, int b) {
    return Bomb<800, 0>::value;
}
