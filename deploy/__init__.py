"""How the services are run: locally, in containers, behind the gateway."""
