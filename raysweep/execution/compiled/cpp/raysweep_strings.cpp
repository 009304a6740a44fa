// Compiles what raysweep_strings.hpp says is compiled elsewhere.
#define RAYSWEEP_STRINGS
#include "raysweep_strings.hpp"
