"""What the pages of all services share: who is signed in, and forms that came too late."""
