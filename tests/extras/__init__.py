"""What needs more than the environment of the other tests: see the targets of the Makefile."""
