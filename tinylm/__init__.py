"""TinyLM: see what training, fine-tuning, retrieval and tools each do to a language model."""

__version__ = "0.1.0"
