"""Whole forecasters, one file each."""

NOT_MODELS = ("base", "scaling", "resolution")
"""Modules of this folder that are no forecasters."""
