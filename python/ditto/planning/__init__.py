"""Choosing a policy for a program: gains, plans, and what they are measured to be."""
