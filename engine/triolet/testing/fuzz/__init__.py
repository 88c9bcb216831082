"""Hostile bytes: invented by a grammar and mutated, or found by coverage, and judged.

A target takes inputs and judges what the engine makes of them, by an independent reading where
there is one. A campaign invents inputs from a seed, within a budget of time and memory, and
makes what fails small enough to be looked at.
"""
