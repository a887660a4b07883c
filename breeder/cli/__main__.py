"""`python -P -m breeder.cli`."""

from breeder.cli import main

main()
