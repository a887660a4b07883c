"""Says whether an answer is as asked for: by its request's contract, the policy's patterns, the user's own command."""
