"""What this machine can do, and what on it is left over."""
