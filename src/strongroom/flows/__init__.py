"""In what order things happen: one file per verb, each a list of numbered steps over the ports."""
