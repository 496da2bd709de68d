"""Export a model for other programs: ``simplegpt export MODEL OUTPUT``.

The output is a folder in Hugging Face's format, with the same logits and token IDs in transformers,
or with ``--format gguf`` a file for llama.cpp.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from simplegpt.cli import CommandParser, one_line, run_command, show
from simplegpt.progress import ProgressLine, format_count, format_loss

if TYPE_CHECKING:  # imports torch: not for --help
    from simplegpt.checkpoint import LoadedModel

CARD = """\
---
library_name: transformers
pipeline_tag: text-generation
tags: [gpt2, simplegpt]
---
# {name}

A GPT of {parameters} parameters: {n_layer} layers, {n_head} heads, width {n_embd}, context {n_ctx},
vocabulary {n_vocab}. Trained and exported with SimpleGPT.

| | |
| --- | --- |
{figures}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{name}")
tokenizer = AutoTokenizer.from_pretrained("{name}")
```
{config}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Export as the arguments in `argv` say. Raises UserError."""
    parser = CommandParser("export", description="Export a model for transformers or llama.cpp.")
    parser.add_argument(
        "model", help="a checkpoint (nanoGPT's ckpt.pt too), a run's directory, or a GPT-2"
    )
    parser.add_argument(
        "output", type=Path, help="the new folder (hugging_face) or the new file (gguf)"
    )
    parser.add_argument(
        "--format",
        choices=["hugging_face", "gguf"],
        default="hugging_face",
        help="hugging_face: safetensors, tokenizer files (gpt2, byte, char) and a model card; "
        "gguf: for llama.cpp, needs the extra simplegpt[gguf]",
    )
    options = parser.parse_args(argv)
    with ProgressLine("exporting", 100, "", summary=False) as line:
        line.update(0, "starting")
        from simplegpt.checkpoint import load_model
        from simplegpt.gpt2.folder import export_folder
        from simplegpt.gpt2.gguf import export_gguf

        loaded = load_model(
            options.model, progress=lambda share, text: line.update(round(90 * share), text)
        )
        line.update(90, f"writing {options.output}")
        name, template = options.output.resolve().stem, loaded.chat_template
        if options.format == "gguf":
            export_gguf(loaded.gpt, options.output, loaded.tokenizer_name, name, template)
        else:
            card = model_card(loaded, name)
            export_folder(loaded.gpt, options.output, loaded.tokenizer_name, card, template)
    show(one_line(f"saved to {options.output}"), sys.stderr)
    return 0


def model_card(loaded: "LoadedModel", name: str) -> str:
    """Return an exported folder's README.md: the shape, the figures and the run's config."""
    figures = {"tokenizer": loaded.tokenizer_name or "unknown", "exported from": loaded.source.name}
    if loaded.step is not None:
        figures["optimizer steps"] = f"{loaded.step:,}"
    if loaded.val_loss is not None:
        figures["validation loss"] = f"{format_loss(loaded.val_loss)} nats per token"
    config = loaded.source.parent.parent / "config.toml"  # of the checkpoint's run
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    return CARD.format(
        name=name,
        parameters=format_count(loaded.gpt.n_parameters),
        **loaded.config.model_dump(),
        figures="\n".join(f"| {key} | {value} |" for key, value in figures.items()),
        config=f"\nThe run's config:\n\n```toml\n{text.rstrip()}\n```\n" if text else "",
    )


if __name__ == "__main__":
    run_command(main)
