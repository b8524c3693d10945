"""Durations: how long loads, unloads and answers take."""
