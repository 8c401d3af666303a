"""`python -m methodical`, the same as the command `methodical`."""

from .pipeline.cli.main import main

main()
