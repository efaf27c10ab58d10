# make demo     set up, render a small data set, run all four steps and the plots
# make test     set up, lint, test, build the documentation, run every experiment at its smallest scale
# make fast     set up, run those tests that other versions of Python and packages could fail
# make docs     set up, build the documentation: docs/_build/html/index.html, and a PDF with LaTeX
# make faults   hurt every script and every kind of file, at length: an hour and more
# make audit    look up the installed packages for known vulnerabilities
# make report   run the experiments with a published change on rendered audio, write docs/report: hours
# make pretrained   make the model that predict.py takes by default, of all SoundFonts that are there
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
RUN := $(BIN)/python

.PHONY: setup develop demo test fast site docs smoke faults audit report pretrained lint format clean

setup: $(VENV)/installed
develop: $(VENV)/developing

$(VENV)/installed: requirements.txt requirements-demo.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: expected Python 3.11 or newer, found " + sys.version.split()[0] + ": run make with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet -r requirements-demo.txt
	@touch $@

$(VENV)/developing: $(VENV)/installed requirements-dev.txt requirements-cluster.txt docs/requirements.txt
	$(RUN) -m pip install --quiet -r requirements-dev.txt
	@touch $@

# The demo has its own folders, and what learns best on little data. SEED=1 is other music.
DEMO := $(CURDIR)/demo
SEED := 0
MODEL := -m model_residual -o adam -d 1
LEARN := -e 12 -b 32

# One thread a TensorFlow operation: the same numbers bit by bit on any number of cores, and on two
# cores no slower, for two operations run at once.
demo report pretrained: export TF_NUM_INTRAOP_THREADS := 1
demo: export INSTREC_DATA_PATH := $(DEMO)/data
demo: export INSTREC_FEATURE_PATH := $(DEMO)/features
demo: export INSTREC_MODEL_PATH := $(DEMO)/models
demo: setup
	$(RUN) render_dataset.py -d 1 --seed $(SEED)
	$(RUN) create_encoding.py -d 1
	$(RUN) generate_dataset.py -d 1
	$(RUN) train.py $(MODEL) -i 2 $(LEARN)
	$(RUN) plot_history.py $(MODEL)
	$(RUN) evaluate.py $(MODEL) -O 1 -i 1 $(LEARN)
	$(RUN) plot_conf_mat.py $(MODEL)
	$(RUN) evaluate.py $(MODEL) -O 2 -i 2
	$(RUN) plot_perf_metrics.py $(MODEL)
	$(RUN) evaluate.py $(MODEL) -O 3 -i 2
	$(RUN) plot_perf_metrics.py $(MODEL)
	@echo "Figures are in $(DEMO)/models/irmas_1024/model_residual/figures"

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: develop
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint
	$(RUN) -m pytest -n auto --maxprocesses 4
	$(MAKE) site
	$(MAKE) smoke

FAST := audio features metadata metrics models plots predict pretrained separation settings splits storage train
fast: develop
	$(RUN) -m pytest -n auto --maxprocesses 4 $(FAST:%=tests/test_%.py)

SITE := docs/_build
site: develop  # a warning, such as of a link that leads nowhere, is an error
	$(RUN) -m sphinx -q -W --keep-going -b html docs $(SITE)/html
	@echo "Site: $(SITE)/html/index.html"

docs: site
	@if command -v latexmk >/dev/null && command -v xelatex >/dev/null; then \
	  $(RUN) -m sphinx -q -W --keep-going -b latex docs $(SITE)/latex && \
	  $(MAKE) -C $(SITE)/latex all-pdf LATEXMKOPTS='-interaction=nonstopmode -halt-on-error -silent' >/dev/null && \
	  echo "PDF: $(SITE)/latex/instreccnn.pdf"; \
	else echo "no PDF: latexmk or xelatex is not installed"; fi

smoke: develop
	rm -rf demo/reproduce_smoke
	$(RUN) reproduce.py --scale smoke

faults: develop
	$(RUN) -m pytest tests/faults -m "slow or not slow" -rPs

audit: develop
	$(RUN) tests/faults/audit.py

report: setup
	$(RUN) reproduce.py --scale demo --report docs/report

# Those SoundFonts of the table that are there; render_dataset.py says how to get the others.
SOUNDFONTS := --banks pretrained/banks.toml
RECIPE := -x pretrained/recipe.toml
BOX := rendered_1024/model_residual
BOX_FILES := .optima.json .scores.json 0.best.hdf5 0.history.npy 0.json 0.run.json

pretrained: export INSTREC_DATA_PATH := $(DEMO)/pretrained/data
pretrained: export INSTREC_FEATURE_PATH := $(DEMO)/pretrained/features
pretrained: export INSTREC_MODEL_PATH := $(DEMO)/pretrained/models
pretrained: setup
	$(RUN) render_dataset.py -d 10 --train 2400 --test 240 $(SOUNDFONTS)
	$(RUN) create_encoding.py $(RECIPE)
	$(RUN) generate_dataset.py $(RECIPE)
	$(RUN) train.py $(RECIPE)
	$(RUN) evaluate.py $(RECIPE) -O 2
	$(RUN) plot_perf_metrics.py $(RECIPE)
	$(RUN) evaluate.py $(RECIPE) -O 3
	cp $(addprefix $(DEMO)/pretrained/models/$(BOX)/model_residual.adam,$(BOX_FILES)) pretrained/$(BOX)/

clean:
	rm -rf $(VENV) demo $(SITE)
