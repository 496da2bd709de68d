"""Import and export of Hugging Face GPT-2 weights, without transformers.

`folder` reads and writes a model's folder, `hub` downloads one, and `gguf` writes a file for
llama.cpp. ``simplegpt export`` exports.
"""
