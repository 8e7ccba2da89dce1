"""The caller: sharing inputs, driving the parties, putting outputs together."""
