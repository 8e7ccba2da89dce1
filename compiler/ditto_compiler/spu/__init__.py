"""The lowering to SPU."""
