"""Learning the generator: configuration, losses, batches, the loop, checkpoints and export."""
