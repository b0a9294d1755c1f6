"""Where sealed objects are kept: a folder, or the in-memory twin of the tests."""
