"""CodeMie's session metrics: its files, what goes into them, and what is told to its API."""
