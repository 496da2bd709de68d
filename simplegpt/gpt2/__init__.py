"""Weights from and to Hugging Face's GPT-2, without transformers.

`folder` reads and writes a model's folder, `hub` downloads one, and

    python -m simplegpt.gpt2 export CHECKPOINT FOLDER

writes one that transformers' ``GPT2LMHeadModel`` loads with the same logits.
"""
