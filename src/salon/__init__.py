"""salon: recommendations that have read, seen and heard your catalogue."""

__version__ = "0.1.0"
