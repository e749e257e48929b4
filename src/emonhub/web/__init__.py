"""The page, its API, metrics and health. Reads the hub; no other room imports it."""
