"""`python -m tinylm` is `tinylm`."""

from tinylm.cli import main

main()
