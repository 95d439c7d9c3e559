"""Whole files that are not in the page cache: every byte comes from the disk."""
