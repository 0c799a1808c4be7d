"""Who is alerted: from travel advice, or an officer's words, to stored recipients and their send jobs."""
