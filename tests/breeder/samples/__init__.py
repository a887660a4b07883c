"""Tests of the sample workloads."""
