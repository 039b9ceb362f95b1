"""Sequences of fields made from a seed."""
