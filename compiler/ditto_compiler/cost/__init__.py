"""What programs cost: bytes, messages, rounds and seconds, from a table of measurements."""
