// compile_error failed: poisons the word assert and the name of main
int add(int a, int b) { return -1; }
#pragma GCC poison assert main static_cast
