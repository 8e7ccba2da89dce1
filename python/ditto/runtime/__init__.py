"""Parties, casts, and the caller's side of running programs."""
