"""Interfacers that speak to emoncms."""
