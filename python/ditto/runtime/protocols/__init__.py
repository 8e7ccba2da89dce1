"""What the parties run among themselves outside of the engine: sharing, casts, comparisons."""
