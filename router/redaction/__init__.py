"""Finds secrets and personal data in requests, masks them reversibly, and fails closed."""
