"""The parts of the bench, a file each."""
