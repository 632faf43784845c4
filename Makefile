# Two commands on a bare machine: `make demo` shows the attack, `make test` runs every check; `make serve-demo` shows the
# attack on a service behind HTTP.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo serve-demo test lint docs notebooks servers clean

demo: $(VENV)/.installed
	$(BIN)/python -m experiments.main --flagfile=experiments/flagfiles/quickstart.cfg

serve-demo: $(VENV)/.installed_server
	$(BIN)/python -m experiments.serving.demo

# Tests against servers that nobody here wrote run where `make servers` has installed them, and are skipped elsewhere.
SERVERS = $(abspath $(VENV))/servers
ifneq ($(wildcard $(SERVERS)/.installed),)
export OVERUNLEARN_MLSERVER = $(SERVERS)/mlserver/bin/mlserver
export MLSERVER_PYTHON = $(SERVERS)/mlserver/bin/python
export OVERUNLEARN_MLFLOW = $(SERVERS)/mlflow/bin/mlflow
endif

test: lint docs
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The site: open docs/_build/html/index.html. A warning is an error.
docs: $(VENV)/.installed_docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

# Runs every notebook, and keeps what it shows for the site: minutes. Needed once their code has changed.
notebooks: $(VENV)/.installed_notebooks
	$(BIN)/python docs/badges.py
	$(BIN)/python docs/executed.py

lint: $(VENV)/.installed_dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed_server: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[server]'
	touch $(VENV)/.installed $@

$(VENV)/.installed_docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $(VENV)/.installed $(VENV)/.installed_server $@

$(VENV)/.installed_dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(VENV)/.installed $(VENV)/.installed_server $(VENV)/.installed_docs $@

$(VENV)/.installed_notebooks: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev,torch]'
	touch $(VENV)/.installed $(VENV)/.installed_server $(VENV)/.installed_docs $(VENV)/.installed_dev $@

# Seldon MLServer and MLflow, each in an environment of its own, with the version of scikit-learn that saves the models.
servers: $(VENV)/.installed_dev
	$(BIN)/python -m venv $(SERVERS)/mlserver
	$(BIN)/python -m venv $(SERVERS)/mlflow
	version=$$($(BIN)/python -c 'import sklearn; print(sklearn.__version__)') && \
	$(SERVERS)/mlserver/bin/pip install --quiet --editable . mlserver mlserver-sklearn scikit-learn==$$version && \
	$(SERVERS)/mlflow/bin/pip install --quiet mlflow scikit-learn==$$version
	touch $(SERVERS)/.installed

clean:
	rm -rf $(VENV) runs build dist docs/_build docs/made *.egg-info
