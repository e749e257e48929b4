"""Interfacers for certain devices."""
