"""What a document is, by its bytes; pure."""
