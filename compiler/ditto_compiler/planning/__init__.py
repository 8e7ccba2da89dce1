"""Choosing rings, fraction bits and functions for the least cost within a bound on noise."""
