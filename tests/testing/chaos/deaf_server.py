"""`triolet serve` that hears no other node, and never asks the store what it has missed."""

from triolet._runtime.heads import Heads
from triolet._runtime.nodes import Nodes
from triolet_api.__main__ import main


async def compare(self, *asked):
    """Find that all is well."""
    return True


Nodes._hear_one = lambda self, doorbell: None
Heads.compare = compare

if __name__ == "__main__":
    main()
