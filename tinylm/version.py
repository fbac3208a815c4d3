"""The version of TinyLM, on the lowest floor: run folders and exports record it."""

__version__ = "0.2.0"
