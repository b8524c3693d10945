"""The commands of ``python -m simulation``."""
