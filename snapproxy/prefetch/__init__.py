"""Prefetch: turn names and lists of packages into exact files at an instant, and fetch them into a capture."""
