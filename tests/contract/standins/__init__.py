"""Stand-ins for services that cannot run here, written from their public API pages, with real ciphers."""
