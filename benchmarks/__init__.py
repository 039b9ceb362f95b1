"""Measurements of speed and memory, one file each: ``run(out, quick) -> Markdown``; never a test."""
