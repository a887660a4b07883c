"""The seedling: a small base model raised from scratch on generated text transformations."""
