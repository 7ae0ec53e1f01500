"""Photo and expression in, edited photo or film out."""
