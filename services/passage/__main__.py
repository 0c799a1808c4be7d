"""`python -m services.passage`."""

from services.passage.line import main

main(prog_name="passage")
