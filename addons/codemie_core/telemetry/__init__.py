"""Counters and spans about model turns: numbers and names, never a word of what was said."""
