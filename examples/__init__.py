"""Programs that use a running daemon, each a script of its own."""
