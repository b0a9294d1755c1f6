"""What the machine, on which this runs, has installed."""
