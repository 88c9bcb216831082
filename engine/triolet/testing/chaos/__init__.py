"""Real faults on real processes, judged by what their clients saw."""
