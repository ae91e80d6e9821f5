"""The scripted upstream: stands in for the paid model APIs in the demo, the tests and the benches.

It re-exports nothing, so that `python -m codemie_core.demo.upstream` finds its module not yet imported.
"""
