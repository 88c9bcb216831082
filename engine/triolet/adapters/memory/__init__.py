"""A store in memory: for tests, for the simulated world, and for engines that keep nothing."""

from .store import MemoryStore as MemoryStore
from .store import open_memory_store as open_memory_store
