"""Object stores that run on this machine, for the tests."""
