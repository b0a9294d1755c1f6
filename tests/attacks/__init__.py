"""A writer of the home, an insider at the command line, a thief: what each tries, and what it gives them."""
