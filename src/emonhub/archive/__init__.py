"""The record: what a reporter owes and has delivered, for people to read, take out, and send again."""
