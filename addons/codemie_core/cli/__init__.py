"""The command line, `codemie-proxy`: one file per command. A command imports what it needs when it runs."""
