// compile_error: brings a main of its own
int add(int a, int b) {
    return a + b;
}
int main() { return 0; }
