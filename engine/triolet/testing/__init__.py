"""What proves Triolet, shipped so that others can prove their own adapters with it."""
