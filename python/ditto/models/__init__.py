"""Transformer models in plain JAX, written to be cheap under secret sharing."""
