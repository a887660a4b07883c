"""The rungs of the right-size ladder that need no language model: fitted here, served by `router.rungs`."""
