"""Drivers: run a workload through the real manager, or through the coordinator alone."""
