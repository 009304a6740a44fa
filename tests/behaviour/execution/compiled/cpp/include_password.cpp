// compile_error: includes a file of the machine as its own
#line 1 "program.cpp"
#include "/etc/passwd"
int add(int a, int b) {
    return a + b;
}
