"""The generator and the critic: tensors in, tensors out. They know nothing of photos."""
