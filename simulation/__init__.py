"""Workloads, a mock server with the real one's manners, and replays in virtual time."""
