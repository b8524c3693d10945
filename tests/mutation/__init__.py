"""Mutation testing of the core by its own tests: ``python -m tests.mutation``, or ``make mutation``. See docs/mutation.md.

mutmut's operators make the mutants, and a few of ours. They are run by us: mutmut leaves out what is decorated and what stands
outside of functions (here: every property, and the tables of the machines) and judges by the wall clock; cosmic-ray
starts a Python for each mutant and writes it into the working tree.
"""
