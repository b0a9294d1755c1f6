"""Models as large as asked for, made on the spot: real structure around random weights."""
