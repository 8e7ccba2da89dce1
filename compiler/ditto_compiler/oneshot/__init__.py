"""Functions in one shot: what f(u + v) = sum over j of g_j(u) h_j(v) is made of, and fitting it."""
