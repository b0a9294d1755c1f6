"""May we believe this, may they do that? Pure: bytes and times in, values or errors out."""
