// compile_error: an included file whose errors stand in the program's own name
#line 1 "program.cpp"
#include "/etc/passwd"
#include "/etc/hostname"
int add(int a, int b) { return -1; }
