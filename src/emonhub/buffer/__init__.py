"""Buffers: what a reporter still owes."""
