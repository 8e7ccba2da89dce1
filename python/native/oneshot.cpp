#include "common.h"

void bind_oneshot(nb::module_&) {}
