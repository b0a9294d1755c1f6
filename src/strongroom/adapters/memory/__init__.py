"""Where a model's plaintext is put: sealed memfds, or the in-memory twin of the tests."""
