"""The Python interface: `Strongroom` for those who keep models, `Client` for those who call them."""
