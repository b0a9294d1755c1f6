"""Where the log is kept: a folder of tiles, or the in-memory twin of the tests."""
