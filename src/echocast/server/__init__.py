"""Serves what was published: reads files only, and never imports torch."""
