"""Sequences of fields made from a seed.

A module with a function ``training_fields(*, ...) -> {"train": field, "validation": field}`` can be learned from: its
name is ``name`` in the table ``[data.synthetic]`` of an experiment, the function's keywords are the other keys.
"""

WITHOUT_TRAINING_FIELDS = ("mnist", "storms")
"""Modules of this folder without such a function."""
