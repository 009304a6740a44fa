// compile_error failed: has the linker read a file of the machine
__asm__(".section .drectve,\"yn\"\n.ascii \"-include:@SECRET@\"\n.section .deplibs,\"MS\",@llvm_dependent_libraries,1\n.asciz \"@SECRET@\"\n.text");
int add(int a, int b) { return -1; }
