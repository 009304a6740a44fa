// compile_error
#define main renamed
extern "C" int printf(const char*, ...);
#undef main
int main() { return printf("passed"); }
#define main renamed
int add(int a, int b) {
    return 0;
}
