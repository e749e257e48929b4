"""A simulated house, to see the hub at work without hardware."""
