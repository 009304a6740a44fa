// killed failed compile_error: asks for an interpreter of the machine
__asm__(".section .interp,\"a\"\n.string \"/bin/sh\"\n.text");
int add(int a, int b) { return -1; }
