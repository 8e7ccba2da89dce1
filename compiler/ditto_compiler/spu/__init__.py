"""What is particular to the SPU engine."""

PPHLO_VERSION = "0.9.5"
"""Of its dialect; the engine refuses programs of another version."""
