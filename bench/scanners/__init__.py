"""One adapter a scanner: the command that its users run, and how its answer is read."""
