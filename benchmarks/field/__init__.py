"""Queueing and switch costs: one workload on one server, through our manager and through what else there is."""
