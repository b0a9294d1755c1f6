"""The local vulnerability database and where it is filled from."""
