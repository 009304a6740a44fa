// compile_error: includes itself without an end
#include __FILE__
#include "program.cpp"
int add(int a, int b) { return -1; }
