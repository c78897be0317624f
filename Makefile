# Each target prepares .venv itself; nothing is installed outside it, but by `make tools`.
PYTHON ?= python3
ARGS ?=
# Workers of the test run: one for each processor, at most four (each may start servers of its own).
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 4 ? n : 4 )))
V := .venv/bin
# Ctrl-C is how these commands end, not an error.
STOPPED := test $$? -eq 130
hash = $(shell cksum requirements/$(1).txt | cut -d' ' -f1)
RUNTIME := .venv/.runtime-$(call hash,runtime)
DEV := .venv/.dev-$(call hash,dev)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo run test test-all kyverno vmalert lint bench bench-full bench-peers soak tools dashboards rules chart docs site \
  screenshots lock clean

help: ## Print what each target does
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(RUNTIME) ## Serve a sample cluster, no Kubernetes needed
	@trap : INT; $(V)/policy-report-exporter demo $(ARGS) || $(STOPPED)

run: $(RUNTIME) ## Serve the cluster that kubectl talks to
	@trap : INT; $(V)/policy-report-exporter serve $(ARGS) || $(STOPPED)

test: $(DEV) ## Run every test whose tools are here, with coverage
	$(V)/pytest -n $(JOBS) --dist loadscope --no-loadscope-reorder --cov --cov-report=term $(ARGS)

test-all: export REQUIRE_ALL_TIERS = 1
test-all: test ## The same, and a skipped test is a failure

kyverno: export KYVERNO = 1
kyverno: $(DEV) ## Build a real Kyverno and test against it, half an hour
	$(V)/python tools/install.py --tier kyverno
	$(V)/pytest -v tests/kyverno $(ARGS)

vmalert: export VMALERT = 1
vmalert: $(DEV) ## Build vmalert and test the rules with it, some minutes
	$(V)/python tools/install.py --tier vmalert
	$(V)/pytest -v tests/alerts/test_vmalert.py $(ARGS)

lint: $(DEV) ## Style, types, layers, sizes, words
	$(V)/ruff check .
	$(V)/ruff format --check .
	$(V)/mypy
	$(V)/lint-imports
	$(V)/yamllint --strict -c tools/yamllint.yaml .
	$(V)/python tools/sizes.py exporter
	$(V)/codespell
	$(V)/python tools/words.py

bench: $(DEV) ## Benchmarks, some minutes
	$(V)/python -m bench $(ARGS)

bench-full: $(DEV) ## Benchmarks at full size, and of shards
	$(V)/python -m bench --full $(ARGS)
	$(V)/python -m bench.shards --full

bench-peers: tools ## This exporter beside others, on a real kube-apiserver: see docs/performance.md
	$(V)/python -m bench.peers $(ARGS)

soak: $(DEV) ## The long chaos run
	$(V)/pytest tests/soak -m slow $(ARGS)
	SCENARIOS=all $(V)/pytest tests/scenarios $(ARGS)
	HYPOTHESIS_LONG=20000 $(V)/pytest tests/hostile/test_wire.py tests/state/test_ledger.py \
	  tests/state/test_owner_index.py tests/model/test_ownership.py $(ARGS)

tools: $(DEV) ## Install the real components of the other test tiers
	$(V)/python tools/install.py $(ARGS)

dashboards: $(DEV) ## Make grafana/*.json from their source
	$(V)/python -m grafana.build $(ARGS)

rules: $(DEV) ## Make alerts/*.yaml from their source
	$(V)/python -m alerts.build $(ARGS)

chart: $(DEV) ## Make the chart's generated files
	$(V)/python -m helm.build $(ARGS)

docs: $(DEV) ## Generate docs/metrics.md and the journal's schema
	$(V)/policy-report-exporter metrics --output markdown > docs/metrics.md.new
	mv docs/metrics.md.new docs/metrics.md
	$(V)/python -m tools.journal_schema > docs/journal.schema.json

site: $(DEV) ## Build the documentation site in build/site
	NO_MKDOCS_2_WARNING=1 $(V)/mkdocs build --quiet

screenshots: $(DEV) ## Take the pictures of the documentation
	$(V)/python -m tools.screenshots $(ARGS)

lock: $(DEV) ## Update requirements/*.txt
	$(V)/python -m pip install -q uv
	$(V)/uv pip compile -q $(LOCK) pyproject.toml -o requirements/runtime.txt
	$(V)/uv pip compile -q $(LOCK) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	echo "setuptools>=77" | $(V)/uv pip compile -q $(LOCK) - -o requirements/build.txt

LOCK := --no-header --generate-hashes --python-version 3.11 --upgrade

clean: ## Remove everything that make made in the tree
	rm -rf .venv .coverage* htmlcov .*_cache .hypothesis build dist *.egg-info

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv

# One stamp for each lock: a warm call installs nothing. The dev lock holds all of the runtime's.
# Locks are whole, so nothing is resolved: pip would take an unlocked release for `coverage[toml]`.
$(DEV): requirements/dev.txt | .venv/bin/python
	$(V)/python -m pip install -q --no-deps --require-hashes -r requirements/dev.txt
	$(V)/python -m pip install -q --no-deps -e .
	rm -f .venv/.dev-* .venv/.runtime-*
	touch $(DEV) $(RUNTIME)

$(RUNTIME): | .venv/bin/python
	$(V)/python -m pip install -q --no-deps --require-hashes -r requirements/runtime.txt
	$(V)/python -m pip install -q --no-deps -e .
	rm -f .venv/.runtime-*
	touch $(RUNTIME)
