"""From fields to what is learned from and scored: segments, splits, windows, tensors, batches.

Covariates, aligned in time and space with windows, are in `echocast.samples.covariates`; a `Batch` carries them in its
context.
"""
