"""Signing in to CodeMie: what a session is, where it is kept, and how one is had."""
