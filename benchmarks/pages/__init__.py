"""Plots and tables, from the results alone."""
