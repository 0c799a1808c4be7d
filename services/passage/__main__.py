"""`python -m services.passage`."""

from services.passage.cli import main

main(prog_name="passage")
