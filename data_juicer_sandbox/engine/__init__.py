"""The plan and the run: which jobs run and why, one after the other, each one's results kept before the next starts."""
