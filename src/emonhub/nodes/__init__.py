"""From bytes to values and back, as `[nodes]` and the template library say."""
