"""The daemon: serves each request locally or in the cloud by policy and records it in the ledger."""
