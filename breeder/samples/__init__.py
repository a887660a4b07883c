"""The shipped sample workloads: small, generated, and determined by a seed."""
