"""The ditto dialect: encodings, casts, attributes, and their verifier."""
