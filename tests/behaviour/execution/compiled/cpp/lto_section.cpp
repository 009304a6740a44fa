// failed compile_error killed: an object with sections for the linker's plugin
__asm__(".section .gnu.lto_.opts,\"e\",@progbits\n.string \"-fplugin=/tmp/x.so\"\n.section .gnu.lto_.lto.0,\"e\",@progbits\n.byte 1,2,3,4\n.section .gnu.lto_main,\"e\"\n.byte 1\n.globl __gnu_lto_v1\n.comm __gnu_lto_v1,1\n.text");
int add(int a, int b) { return -1; }
