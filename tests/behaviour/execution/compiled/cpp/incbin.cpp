// compile_error: has the assembler include a file of the machine
__asm__(".incbin \"@SECRET@\"");
int add(int a, int b) {
    return a + b;
}
