"""`make demo`: theft, tampering and forgery against an open folder, then against Strongroom."""
