"""Administration: what admins see and do, and what is written down of it."""
