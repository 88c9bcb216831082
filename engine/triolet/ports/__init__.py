"""What the engine needs from the world, as tiny protocols that promise in prose."""
