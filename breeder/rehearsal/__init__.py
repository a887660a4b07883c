"""Play a file of (prompt, reference) tasks through the real router, with a stand-in cloud and a stand-in user."""
