# `make check` and `make test` are all that a new user needs; everything else is for those who work on the suite.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DONE   := $(VENV)/.installed

# Plugins of the suite's own tests that a run of checks has no use for; each costs a start-up of its own.
LEAN   := -p no:hypothesispytest -p no:randomly -p no:syrupy

# A run starts a dozen Python processes: without cached bytecode each compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: check test chaos drill drill-nextjs defects report lint types bench node docs dist ci workflows clean help
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(DONE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV)"
	@if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev,bench]'; \
	elif $(BIN)/python -m pip install -q --disable-pip-version-check uv 2>/dev/null; then \
	  $(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev,bench]'; \
	else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'; \
	fi
	@touch $(DONE)

check: $(DONE) ## everything from nothing: environment, a local deployment, all checks, a verdict for each
	@rm -rf build/allure-results
	@$(BIN)/pytest checks -n 2 -q $(LEAN) --alluredir build/allure-results $(ARGS)

# Two workers, unless ARGS says otherwise; TESTS names a part.
TESTS ?= tests
test: $(DONE) ## the suite's own tests
	@$(BIN)/pytest $(TESTS) -q $(if $(findstring no:xdist,$(ARGS)),,-n 2) $(ARGS)

chaos: $(DONE) ## the experiments, against a local deployment
	@$(BIN)/pytest chaos -q $(LEAN) $(ARGS)

drill: $(DONE) ## prove that the fallbacks hold: every experiment, several at a time, build/drill.json
	@$(BIN)/dialtone drill $(ARGS)

drill-nextjs: $(DONE) ## build examples/nextjs with npm, drill the build, and each of its defects, which has to be found
	@$(BIN)/python examples/nextjs/drill.py $(ARGS)

defects: $(DONE) ## switch every known defect on in turn: each has to be found, by the checks that claim it
	@$(BIN)/dialtone defects $(ARGS)

# Allure's own program, pinned; without npm or a registry there is the page of `dialtone report` alone.
ALLURE := build/tools/allure/node_modules/.bin/allure
report: $(DONE) $(ALLURE) ## build/report.html, and build/allure-report of the last `make check`
	@$(BIN)/dialtone report $(if $(wildcard $(ALLURE)),--allure) $(ARGS)
$(ALLURE):
	@if ! command -v npm >/dev/null 2>&1; then echo "no npm: no Allure report"; \
	elif ! { mkdir -p build/tools/allure && cp src/dialtone/report/npm/*.json build/tools/allure && \
	npm ci --prefix build/tools/allure --no-audit --no-fund --ignore-scripts --silent --fetch-timeout=20000 --fetch-retries=1; }; then \
	echo "npm failed: no Allure report"; fi

lint: $(DONE) ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DONE) ## mypy, strict
	@$(BIN)/mypy

bench: $(DONE) ## all measurements at full length
	@for bench in bench/[a-z]*.py; do echo "== $$bench"; $(BIN)/python $$bench $(ARGS) || exit 1; done

# The providers' SDKs for Node, as witnesses. Without npm, or without a registry, the tests that want them are skipped.
node: build/tools/node/.installed ## the SDKs for Node that some of the suite's own tests need
build/tools/node/.installed: tests/node/package.json
	@mkdir -p $(@D) && cp $< $(@D)/
	@if ! command -v npm >/dev/null 2>&1; then echo "no npm: tests with SDKs for Node will be skipped"; \
	elif npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --ignore-scripts --silent --fetch-timeout=20000 --fetch-retries=1; then touch $@; \
	else echo "npm failed: tests with SDKs for Node will be skipped"; fi

docs: $(DONE) ## the site, in build/site
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -r pyproject.toml --extra docs
	@$(BIN)/python -m sphinx -W --keep-going -q -b dirhtml docs build/site

dist: $(DONE) ## what a release publishes: sdist, wheel and SBOM, in dist/
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[release]'
	@$(BIN)/python deploy/release.py build

workflows: $(DONE) ## write the GitHub workflows anew, after a check needs another credential
	@$(BIN)/dialtone workflows --package "-c constraints.txt '.[{extras}]'"

clean: ## remove what was built
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
