"""One loop for everything that is trained by gradients: batches, losses, early stopping, checkpoints."""
