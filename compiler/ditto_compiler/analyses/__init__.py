"""Analyses: facts about a program, computed anew when they are needed."""
