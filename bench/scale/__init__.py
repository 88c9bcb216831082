"""What grows with the number of nodes: counted in a simulated run, priced by measurements."""
