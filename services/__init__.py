"""The four services, and the one command line that knows them all."""
