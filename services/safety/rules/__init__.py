"""What the safety service decides: pure functions, without I/O and without a clock."""
