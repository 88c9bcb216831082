"""The guard: who may come, how often, and from where."""
