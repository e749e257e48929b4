"""Servers and devices that the tests run against, without hardware and without the network."""
