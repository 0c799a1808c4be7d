"""What tests hold production code by: failpoints and the checker."""
