"""The interfacers that ship with emonHub."""
