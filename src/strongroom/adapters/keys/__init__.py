"""Where keys are kept: a passphrase-protected file (default), and its in-memory twin for tests."""
