"""What the chat page costs a browser: bytes, the time to the first message, frames under load."""
