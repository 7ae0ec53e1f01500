"""The exam: what a model really does, by measures that a copy of the photo cannot pass."""
