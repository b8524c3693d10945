"""Analysis: metrics, bounds and comparisons of the runs."""
