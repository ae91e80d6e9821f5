"""The database: what outlives a process, and what the proxies of one home share."""
