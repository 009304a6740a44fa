// failed: writes a file outside of its folder
#include <fstream>
int add(int a, int b) {
    std::ofstream file("@FOLDER@/written");
    file << "x" << std::flush;
    return file ? a + b : -1;
}
