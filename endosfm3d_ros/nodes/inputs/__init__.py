"""Messages in, frames out."""
