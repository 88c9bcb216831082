"""The command `check`: a recorded history, judged."""
