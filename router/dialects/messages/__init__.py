"""Anthropic's Messages dialect, versions 2023-06-01 and 2026-10-21: `Messages` in `dialect.py` is its door."""
