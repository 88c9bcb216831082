"""`triolet serve` of the next version, as far as other nodes can tell: they cannot read it."""

from triolet._wire import peers

peers.VERSION += 1

from triolet_api.__main__ import main  # noqa: E402 - after what it is to be

main()
