"""Images as sequences, and where their files come from."""
