"""The demonstration: a real model, stolen, tampered with, forged and flooded, before and after Strongroom."""
