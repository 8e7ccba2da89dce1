"""What the executor on shares runs: instructions as plain data, their check, schedule and exact cost."""
