// compile_error: includes a file of the machine, whose text an error could show
#include "@SECRET@"
int add(int a, int b) {
    return a + b;
}
