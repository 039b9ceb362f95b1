"""From fields to what is learned from and scored: segments, splits, windows, tensors, batches.

Covariates aligned in time and space with windows belong in a module of their own here; a `Batch` carries them in its
context.
"""
