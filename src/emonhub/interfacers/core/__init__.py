"""Generic interfacers: for a transport, not for a service or a device."""
