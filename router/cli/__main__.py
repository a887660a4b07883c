"""`python -P -m router.cli`."""

from router.cli import main

main()
