// failed: runs a shell
#include <cstdlib>
int add(int a, int b) {
    return std::system("touch @FOLDER@/written") == 0 ? a + b : -1;
}
