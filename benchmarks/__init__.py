"""How fast each stage is, beside the limit and beside what others do."""
