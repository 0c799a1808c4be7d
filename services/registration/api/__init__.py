"""HTTP of registration: registrations, decisions about them, the stay, documents, tasks, group trips."""
