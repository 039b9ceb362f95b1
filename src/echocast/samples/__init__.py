"""From fields to what is learned from and scored: segments, splits, windows, tensors."""
