"""The process that holds one model and nothing else: no network, no files, no keys."""
