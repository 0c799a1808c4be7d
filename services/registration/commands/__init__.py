"""What people ask of the registration service: one function for each request of the API."""
