"""Scores: two pure functions each, statistics that add and values made of their sums."""
