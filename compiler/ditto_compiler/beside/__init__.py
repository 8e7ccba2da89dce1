"""From ops that run beside the engine to the instructions of the executor on shares."""
