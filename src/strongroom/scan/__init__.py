"""What is hidden in these bytes? Rules, the places where they match, and the verdict; no I/O, no clock."""
