"""emonhub.conf: read, checked whole, watched."""
