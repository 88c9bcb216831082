"""What can be fuzzed: each target invents inputs and judges what the engine makes of them."""
