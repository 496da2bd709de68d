# make demo    prepare a corpus, train a small GPT on it, generate text (about 3 minutes on 2 cores)
# make tui     open the workbench
# make test    everything that CI runs: format, lint, types, tests
# make check   the same without the tests
# make lowest  the tests with the lowest versions that pyproject.toml allows (torch alone is gigabytes)
# make stress  thousands of kills, damaged files and hostile inputs (an hour; for one part: STRESS="--only configs")

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
DEMO := models/demo

.PHONY: demo tui test lowest stress check format snapshots clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SimpleGPT needs Python 3.11 or later; choose one with PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (a few minutes the first time) …"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing with the development dependencies into $(VENV) (a few minutes the first time) …"
	@$(PIP) --editable '.[dev]'
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	@test -f data/demo/train-char.bin \
	  || $(BIN)/simplegpt data --dataset tinyshakespeare --output_dir data/demo 2>/dev/null \
	  || { echo "cannot download tiny Shakespeare; using the source of Python's standard library instead"; \
	       $(BIN)/simplegpt data --dataset python-stdlib --output_dir data/demo; }
	@test -f $(DEMO)/status.json && grep -q '"finished"' $(DEMO)/status.json \
	  || $(BIN)/simplegpt train configs/shakespeare_char_cpu.toml --output_dir $(DEMO) \
	       --data.train_fpath data/demo/train-char.bin --data.val_fpath data/demo/val-char.bin \
	       $$(test -f $(DEMO)/ckpts/last.ckpt && echo --resume)
	@echo
	@$(BIN)/simplegpt inference "The " --model_name_or_ckpt_path $(DEMO)/ckpts/best.ckpt \
	  --n_tokens_to_generate 600 --batch_size 1 --temperature 0.8
	@echo
	@echo "Next: make tui (see README.md)"

tui: $(VENV)/.installed
	@$(BIN)/simplegpt-tui

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: check
	@command -v tmux >/dev/null || echo "tmux is not installed: skipping the tests in a real terminal"
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lowest: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-lowest
	$(BIN)/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	$(VENV)-lowest/bin/python -m pytest --numprocesses 2 --dist worksteal

stress: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.stress $(STRESS)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

snapshots: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/tui --numprocesses 2 --snapshot-update

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
