"""Adapters of `ports.HomeFiles`."""
