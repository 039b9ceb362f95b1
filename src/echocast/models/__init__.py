"""Whole forecasters, one file each."""
