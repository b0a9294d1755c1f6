"""Mutual exclusion between processes."""
