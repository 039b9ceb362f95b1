"""One score, or one family of scores, a file."""
