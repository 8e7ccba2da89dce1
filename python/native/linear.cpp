#include "common.h"

void bind_linear(nb::module_&) {}
