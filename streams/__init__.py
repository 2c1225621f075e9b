"""Events in, results kept."""
