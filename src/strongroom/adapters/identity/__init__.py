"""Who issues the certificates that are identities: the built-in CA."""
