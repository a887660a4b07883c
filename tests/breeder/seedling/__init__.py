"""Tests of the seedling."""
