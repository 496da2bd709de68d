"""Weights from and to Hugging Face's GPT-2, without transformers.

`folder` reads and writes a model's folder, `hub` downloads one, and `gguf` writes a file for
llama.cpp. ``python -m simplegpt.export`` is their command.
"""
