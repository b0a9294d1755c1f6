"""Code that wants out of a worker: what the locks must stop, each attack as real code."""
