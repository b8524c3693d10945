"""Workloads: what agents ask for and when, drawn from a seed or read from a trace."""
