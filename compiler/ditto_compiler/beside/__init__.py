"""What runs beside the engine: which ops can, and what they are to the executor on shares."""
