"""Pages and figures about a run, a sweep or a comparison."""
