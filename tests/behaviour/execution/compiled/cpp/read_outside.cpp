// exception: reads a file of the machine
#include <fstream>
#include <stdexcept>
#include <string>
int add(int a, int b) {
    std::ifstream file("@SECRET@");
    std::string text;
    std::getline(file, text);
    throw std::runtime_error("read: " + text);
}
