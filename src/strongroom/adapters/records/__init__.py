"""The catalog: an index over the log for listing; it gives nobody a right (docs/decisions/0002)."""
