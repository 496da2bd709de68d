"""`docs/config.md` from the schema: ``python -m tests.simplegpt.config.reference`` writes it."""

from pathlib import Path

from simplegpt.config.edit import literal
from simplegpt.config.schema import tables

PAGE = Path(__file__).parents[3] / "docs" / "config.md"
HEAD = """\
# The config

A run is described by one TOML file. Every setting is optional; `include` names another file whose
values this one overrides, and `--section.key VALUE` on the command line overrides both. Paths are
relative to the working directory, except `include`, which is relative to its file. `false` disables
an optional setting or table. The run's directory contains the resolved config as `config.toml`.

```
simplegpt train my.toml --optimization.peak_lr 3e-4 --trainer.max_steps 1000
simplegpt train --help     # the same settings as options
```

The settings in `[trainer]` are passed to Lightning's Trainer under the same names. All errors in a
config are reported at once, before anything is written:

```text
error: 2 invalid values in the config:
  model.n_haed: unknown key; did you mean 'n_head'?  my.toml:7
  data.seq_len (512) must be ≤ model.n_ctx (256)  my.toml:12,4
```
"""


def reference() -> str:
    """Return the page."""
    lines = [HEAD]
    for table in tables().values():
        switch = " (off by default)" if table.optional else ""
        lines += [f"## {f'[{table.name}]' if table.name else 'At the top level'}{switch}", ""]
        lines += [table.description, "", "| setting | default | allowed | |"]
        lines.append("| --- | --- | --- | --- |")
        for setting in table.settings.values():
            cells = (setting.allowed, setting.description)
            allowed, description = (cell.replace("|", r"\|") for cell in cells)
            default = literal(setting.default).replace("|", r"\|")
            lines.append(f"| `{setting.name}` | `{default}` | {allowed} | {description} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
