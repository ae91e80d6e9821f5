"""The pool: accounts, what is known of their limits, and which one serves a request."""
