"""A party: its process, the engine that runs programs in it, and `ditto party`."""
