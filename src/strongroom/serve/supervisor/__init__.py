"""The process that starts the others, releases models to workers and tells gateways what holds now."""
