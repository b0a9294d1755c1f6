"""Long-running processes, one folder each: supervisor, gateway, worker."""
