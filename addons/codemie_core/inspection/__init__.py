"""Flows as people want to see them: the conversation that a body holds, and what became of the request."""
