"""What a model is, and its sealed form: manifest, sealed/1, formats and their inspection. No I/O here."""
