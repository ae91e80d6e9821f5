"""Agents started for the user: what they are told about the proxy, and the proxy they are given."""
