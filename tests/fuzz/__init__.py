"""Fuzzers of what comes from outside: answers of servers, and files. ``python -m tests.fuzz --inputs 1000000`` runs them for long."""
