"""`python -m codemie_core.cli`, where the console script is not on the PATH."""

from codemie_core.cli.app import main

main()
