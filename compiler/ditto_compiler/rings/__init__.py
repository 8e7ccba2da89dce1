"""Rings and fraction bits beside the engine: what is known of numbers, what is decided, how it is written."""
