"""Simulators on one scenario: ours, SimPy, ciw, salabim."""
