"""The factory: mines the ledger, trains descendants, evaluates them and promotes the winners."""
