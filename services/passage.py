"""`passage`: the command line, the one place that knows all services and hands them to shared/."""

import typer

from shared.audit.command import app as audit
from shared.bus.command import parked, topics
from shared.web.command import token

main = typer.Typer(no_args_is_help=True, add_completion=False, help="Safe Passage, from the command line.")
main.add_typer(audit, name="audit")
main.add_typer(parked, name="parked")
main.add_typer(topics, name="topics")
main.command("token")(token)

if __name__ == "__main__":
    main()
