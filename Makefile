# `make run` shows what the project does, `make test` checks it, `make help` lists what can be set.

# Which Python makes the environment, and where the environment is.
PYTHON = python3
VENV = .venv

# What `make run` does. Empty means the default of `python -m search.run`; see its --help.
TRIALS =
EPOCHS =
BASE_EPOCHS =
CORPUS =
CORPUS_ROOT =
RUN_FLAGS =

# Where it writes: the run's folder, named by the time unless NAME is given, and the exported front.
STORAGE = runs
NAME := $(shell date +plasticity-%Y%m%d-%H%M%S)
FRONT = front

# What `make test` passes to pytest. One process more than there are cores: where one waits for Ray, the others go on. Not
# reordered, the files of whole runs, which are long and have few tests, are not the last ones.
PYTEST_FLAGS = -n $(shell expr $$(nproc) + 1) --dist loadfile --no-loadscope-reorder

# What happens to runs in the gauntlet: 1 for the short form, or so many random ones; the seed of their moments; and how
# long all processes are stopped, in seconds.
EVENTS = 50
SEED = 0
STOPPED = 90

python := $(VENV)/bin/python
options := $(if $(TRIALS),--trials $(TRIALS)) $(if $(EPOCHS),--epochs $(EPOCHS)) \
	$(if $(BASE_EPOCHS),--base-epochs $(BASE_EPOCHS)) $(if $(CORPUS),--corpus $(CORPUS)) \
	$(if $(CORPUS_ROOT),--corpus-root '$(CORPUS_ROOT)') $(RUN_FLAGS)

.PHONY: help run test test-cluster gauntlet lint clean

help:
	@echo 'make run     install into $(VENV), search over plasticity, export the front to $(FRONT)/'
	@echo 'make test    install the test tools as well; ruff, mypy, import-linter, pytest'
	@echo 'make lint    the first three of these'
	@echo 'make test-cluster  Ray over SSH on a head and two workers, all on this machine; needs root and Linux'
	@echo 'make gauntlet  real searches under signals, deaths and full disks; about half a minute for each of EVENTS'
	@echo 'make clean   remove .venv and what tools left; runs and fronts stay'
	@echo
	@echo 'Can be set, as in `make run TRIALS=24 CORPUS=asvspoof2019-la CORPUS_ROOT=~/data`:'
	@echo '  PYTHON        the Python to use, 3.10 to 3.13          ($(PYTHON))'
	@echo '  VENV          folder of the environment                ($(VENV))'
	@echo '  TRIALS        how many trials, recipes included'
	@echo '  EPOCHS        epochs of a trial'
	@echo '  BASE_EPOCHS   epochs of the base that all trials grow'
	@echo '  CORPUS        demo, manifest, asvspoof2019-la, ...: see python -m search.run --help'
	@echo '  CORPUS_ROOT   where that corpus lies'
	@echo '  RUN_FLAGS     any other options of python -m search.run'
	@echo '  STORAGE       folder of runs                           ($(STORAGE))'
	@echo '  NAME          name of the run                          ($(NAME))'
	@echo '  FRONT         folder of the exported front             ($(FRONT))'
	@echo '  EVENTS, SEED  of make gauntlet: how many random events ($(EVENTS)), of which seed ($(SEED))'
	@echo '  PYTEST_FLAGS  options of pytest                        ($(PYTEST_FLAGS))'

run: $(VENV)/.installed
	$(python) -m search.run --space plasticity --storage '$(STORAGE)' --name '$(NAME)' $(options)
	$(python) -m search.export '$(STORAGE)/$(NAME)' --to '$(FRONT)'

test: lint
	$(python) -m pytest $(PYTEST_FLAGS)

test-cluster: $(VENV)/.installed-test
	DROPIN_CLUSTER=1 $(python) -m pytest tests/cluster_story --durations=0 -rs

gauntlet: $(VENV)/.installed-test
	DROPIN_GAUNTLET=$(EVENTS) DROPIN_GAUNTLET_SEED=$(SEED) DROPIN_GAUNTLET_STOPPED=$(STOPPED) \
		$(python) -m pytest tests/gauntlet -rs

lint: $(VENV)/.installed-test
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(VENV)/bin/lint-imports --no-cache

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find search trainables spaces tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again when the dependencies change. The test tools include all that a run needs.
$(VENV)/.installed: pyproject.toml | $(python)
	$(python) -m pip install --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(python)
	$(python) -m pip install --editable '.[test]'
	@touch $(VENV)/.installed $@

$(python):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || { \
		echo 'Python 3.10 to 3.13 is needed; $(PYTHON) is' "$$($(PYTHON) --version 2>&1 || true):" \
			'name another, as in `make PYTHON=python3.12 run`' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: sudo apt install python3-venv' >&2; \
		exit 1; }
	$(PYTHON) -m venv '$(VENV)'
