"""Which arm is better, by how much, and whether that can be told. Pure: no files."""
