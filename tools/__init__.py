"""One-off builders of what is committed; each says what it read and what it wrote."""
