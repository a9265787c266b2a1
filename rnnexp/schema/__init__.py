"""What a configuration may say: its types, its ranges, and what makes two of them the same."""
