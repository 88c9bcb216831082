"""A store, a bus and a limiter in memory: for tests, the simulated world, one node alone."""

from .bus import MemoryBus as MemoryBus
from .bus import MemoryNode as MemoryNode
from .bus import open_memory_bus as open_memory_bus
from .limiter import MemoryLimiter as MemoryLimiter
from .store import MemoryStore as MemoryStore
from .store import open_memory_store as open_memory_store
from .transfer import MemorySource as MemorySource
from .transfer import MemoryTarget as MemoryTarget
