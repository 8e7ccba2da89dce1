#include "common.h"

void bind_bits(nb::module_&) {}
