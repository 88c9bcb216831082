"""Pages: what a browser is shown, and what it is told with each answer."""
