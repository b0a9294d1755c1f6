"""The attacks, by where they strike: the store, the people, the network, the log."""
