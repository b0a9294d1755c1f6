"""Where sealed objects are kept: a folder, a bucket of a cloud, or the in-memory twin of the tests."""
