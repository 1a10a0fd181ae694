# `make compare` and `make test` set up everything they need in .venv.

PYTHON ?= python3
RUN := .venv/bin/python
# Two processes of one thread each, for two cores.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest --numprocesses 2 --dist loadfile

.PHONY: compare test test-slow lint docs clean

compare: .venv/installed  ## the three agents on synthetic prostates: tables and pictures in results/
	$(RUN) experiments/compare.py $(ARGS)

test: .venv/ready
	$(PYTEST) $(ARGS)

test-slow: .venv/ready
	$(PYTEST) -m slow $(ARGS)

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs: .venv/docs  ## the site, in site/: every notebook is run, every link is followed; some fifteen minutes
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/mkdocs build $(ARGS)

clean:
	rm -rf .venv build site *.egg-info

# What compare needs; tests and linters bring much more.
.venv/installed: pyproject.toml constraints.txt
	@echo "setting up .venv: a minute or two"
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/ready: .venv/installed
	@echo "installing what the tests need: some minutes"
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/docs: .venv/installed
	@echo "installing what the site needs: some minutes"
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@
