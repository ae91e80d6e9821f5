"""`codemie-proxy top`: sessions, requests, accounts and cost on a terminal, from the admin API of a running proxy."""
