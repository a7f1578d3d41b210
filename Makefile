# Needs: make, Python >= 3.11 with venv, Go >= 1.26 (for the control plane of demo and tests), a network for the first run.
# Everything it makes is in .venv, .cache and build; `make clean` takes the last away, `make distclean` all of it.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
UV_VERSION := 0.13.9
UV_VENV := .cache/uv-venv
UV := $(UV_VENV)/bin/uv
UV_STAMP := $(UV_VENV)/.uv-$(UV_VERSION)
VENV := .venv
STAMP := $(VENV)/.requirements-dev.stamp
BIN := $(VENV)/bin
RUN := $(BIN)/python

# Passed to pytest: make test PYTEST="-k rollout"
PYTEST ?=
TESTS ?= tests/unit tests/component tests/e2e

# Tests run in parallel, in the order of tests/conftest.py; on an existing cluster one after the other. Most of them wait
# for a controller most of the time, so there are more workers than cores.
WORKERS ?= 3
SPREAD := $(if $(CLUSTER),,-n $(WORKERS) --dist loadgroup --no-loadscope-reorder)

export PYTHONPATH := operator:.
export PYTHONUNBUFFERED := 1
# Tests start hundreds of Python processes. Each would compile all modules again if none may keep what it compiled.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pycache
unexport PYTHONDONTWRITEBYTECODE
# Your interpreter and your certificates, not downloaded ones. uv does not read pip's settings: hand it the index.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
ifndef UV_DEFAULT_INDEX
PIP_INDEX := $(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null)
ifneq ($(PIP_INDEX),)
export UV_DEFAULT_INDEX := $(PIP_INDEX)
endif
endif

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

.PHONY: demo
demo: $(STAMP) ## Run a compressed day, with and without Spillway
	@$(RUN) -m demo || test $$? -eq 130  # Ctrl-C

.PHONY: playground
playground: $(STAMP) ## Start a cluster with all tiers and the operator, until Ctrl-C (HELM=1: without, for a Helm install)
	@$(RUN) -m harness $(if $(filter 1,$(HELM)),--helm)

.PHONY: test
test: lint build ## Lint, then the unit, component and e2e tests
	@$(RUN) -m pytest $(TESTS) $(SPREAD) $(PYTEST)

.PHONY: test-argo
test-argo: $(STAMP) ## Scale-ins beside the real Argo Rollouts controller (its first build takes minutes)
	@$(RUN) -m localcluster build argo-rollouts >/dev/null
	@$(RUN) -m pytest tests/argo $(PYTEST)

.PHONY: test-keda
test-keda: $(STAMP) ## Recommended replicas through the real KEDA (its first build takes a quarter of an hour)
	@$(RUN) -m localcluster build keda-operator keda-adapter >/dev/null
	@$(RUN) -m pytest tests/keda $(PYTEST)

.PHONY: test-autoscaler
test-autoscaler: $(STAMP) ## Elastic nodes, moves and headroom beside the real cluster-autoscaler (its first build takes minutes)
	@$(RUN) -m localcluster build cluster-autoscaler >/dev/null
	@$(RUN) -m pytest tests/autoscaler $(PYTEST)

.PHONY: test-upgrade
test-upgrade: $(STAMP) ## Upgrade from the version before by Helm and back, under load (needs the history of git)
	@$(RUN) -m localcluster build helm >/dev/null
	@$(RUN) -m pytest tests/upgrade $(PYTEST)

# What docs/how-to/install.md says of the oldest supported version.
CORE := $(addprefix tests/component/test_,localcluster.py crds.py chart_on_server.py admission_policies.py access.py informer.py webhooks_exact.py \
	overlay_on_server.py restore_pods.py restore_autoscalers.py restore_surges.py) \
	$(addprefix tests/e2e/test_,exact_scale_down.py placement.py spill.py budgets.py failover.py thresholds.py scaling.py in_cluster.py upgrade.py)
.PHONY: test-oldest
test-oldest: $(STAMP) ## The core of the tests on the oldest supported Kubernetes (its first build takes minutes)
	@KUBERNETES=$$($(RUN) -c 'from localcluster import binaries; print(binaries.OLDEST)') $(RUN) -m pytest $(CORE) $(SPREAD) $(PYTEST)

.PHONY: test-all
test-all: test test-oldest test-upgrade test-argo test-keda test-autoscaler docs ## All of the tests, those with optional components included

.PHONY: unit
unit: $(STAMP) ## Run the unit tests alone (no control plane)
	@$(RUN) -m pytest tests/unit $(PYTEST)

.PHONY: lint
lint: $(STAMP) ## Check formatting, lint rules, types, layers and spelling
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(RUN) -m mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/codespell --toml pyproject.toml

.PHONY: format
format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: build
build: $(STAMP) ## Build the control plane for demo and tests (once; minutes)
	@$(RUN) -m localcluster build

BENCHES := scaledown simulate admission informer placement threshold cordon forecast refresh restore foresight backtest balance zones classes extender operate
.PHONY: $(addprefix bench-,$(BENCHES))
bench-scaledown: build ## Measure a day with plain Kubernetes, flat costs and Spillway -> build/bench/scaledown.json
bench-simulate: build ## Replay days in the simulator with the same planners -> build/bench/simulate.json
bench-admission: build ## Measure the latency and the CPU that the webhooks cost -> build/bench/admission.json
bench-placement: build ## Measure placement: tiers, budgets, costs, failover -> build/bench/placement.json
bench-threshold: $(STAMP) ## Compare thresholds with the LP bound, greedy, percentile -> build/bench/threshold.json
bench-cordon: build ## Measure cordons of 200 nodes and taints of new nodes -> build/bench/cordon.json
bench-forecast: $(STAMP) ## Compare forecasts with reactive, last day and Crane at equal cost -> build/bench/forecast.json
bench-refresh: $(STAMP) ## Refresh the forecasts of 2,000 workloads from a real Prometheus -> build/bench/refresh.json
bench-foresight: build ## Compare an HPA on CPU with recommended replicas and headroom -> build/bench/foresight.json
bench-backtest: $(STAMP) ## Time a backtest of 200 workloads over two weeks -> build/bench/backtest.json
bench-balance: build ## Compare the load of nodes: scheduler alone, descheduler, Spillway -> build/bench/balance.json
bench-zones: build ## Compare where new replicas go when one zone gets busy -> build/bench/zones.json
bench-classes: build ## Measure what load classes cost the scheduler -> build/bench/classes.json
bench-extender: $(STAMP) ## Measure how long kube-scheduler waits for the scheduler extender -> build/bench/extender.json
bench-restore: build ## Restore 60,000 marked pods, stopped once -> build/bench/restore.json
bench-operate: build ## Measure explain, the start of the CLI, report, install, uninstall -> build/bench/operate.json
bench-informer: build ## Measure the informer with 150,000 pods -> build/bench/informer.json
$(addprefix bench-,$(BENCHES)): bench-%:
	@mkdir -p build/bench
	@$(RUN) tests/bench/bench_$*.py

.PHONY: crds
crds: $(STAMP) ## Generate crds/ and the chart's copies from the models
	@$(RUN) -m spillway.api.crd
	@mkdir -p charts/spillway/files/crds
	@rm -f charts/spillway/files/crds/*.yaml
	@cp crds/*.yaml charts/spillway/files/crds/

.PHONY: proto
proto: $(STAMP) ## Generate the messages of KEDA's external scaler from their definition
	@$(RUN) -m grpc_tools.protoc -Ioperator/spillway/keda --python_out=operator/spillway/keda --pyi_out=operator/spillway/keda \
		operator/spillway/keda/externalscaler.proto

.PHONY: reference
reference: crds ## Generate docs/reference from the models, metrics, Events, conditions and marks
	@$(RUN) -m spillway.reference

.PHONY: chart
chart: $(STAMP) ## Lint the chart and pack it into build/
	@mkdir -p build
	@$(RUN) -m localcluster build helm >/dev/null
	@.cache/localcluster/bin/helm lint --strict --quiet charts/spillway --set image.repository=registry.example.com/spillway-operator
	@.cache/localcluster/bin/helm package charts/spillway --destination build

.PHONY: kustomize
kustomize: $(STAMP) ## Generate gitops/kustomize from the chart
	@$(RUN) -m localcluster build helm >/dev/null
	@$(RUN) -m harness.kustomize

.PHONY: docs
docs: $(STAMP) ## Build the documentation as a site in build/site, and check every link and how wide the pages are
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@$(RUN) -m pytest tests/site $(PYTEST)
	@echo "build/site/index.html (its search needs a server: python3 -m http.server -d build/site)"

KREW := build/krew
.PHONY: krew
krew: $(STAMP) ## Pack kubectl spillway for krew into build/krew: KREW_URL=https://… is where the archive will be
	@test -n "$(KREW_URL)" || { echo "give KREW_URL=https://…, the folder from which krew will download the archive"; exit 2; }
	@rm -rf $(KREW) && mkdir -p $(KREW)
	@$(UV) build --quiet --wheel --out-dir $(KREW)/wheel .
	@$(UV) venv --quiet --python $(RUN) $(KREW)/venv
	@$(UV) pip sync --quiet --require-hashes --python $(KREW)/venv/bin/python requirements.lock
	@$(UV) pip install --quiet --no-deps --python $(KREW)/venv/bin/python $(KREW)/wheel/*.whl
	@$(BIN)/pex 'spillway-operator[report]' --venv-repository $(KREW)/venv --console-script kubectl-spillway --venv prepend \
		--python-shebang "/usr/bin/env python$$($(RUN) -c 'import sys; print("%d.%d" % sys.version_info[:2])')" --output-file $(KREW)/kubectl-spillway
	@$(RUN) -m release.krew --program $(KREW)/kubectl-spillway --url $(KREW_URL) --output $(KREW)
	@rm -rf $(KREW)/venv $(KREW)/wheel

.PHONY: wheel
wheel: $(STAMP) ## Build the wheel into build/dist, the same bytes for the same sources
	@rm -rf build/dist
	@$(BIN)/hatchling build --target wheel --directory $(CURDIR)/build/dist

SBOM_TOOL := cyclonedx-bom==7.5.0
.PHONY: sbom
sbom: $(UV_STAMP) ## Write a CycloneDX SBOM of the image's Python packages to build/sbom.cdx.json
	@mkdir -p build
	@$(UV) tool run --quiet --from $(SBOM_TOOL) cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file build/sbom.cdx.json

IMAGE ?= registry.example.com/spillway-operator
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
PLATFORMS ?= linux/amd64,linux/arm64
.PHONY: image-push
image-push: ## Build the image for PLATFORMS with docker buildx and push it to IMAGE:VERSION (not tried here)
	docker buildx build --platform $(PLATFORMS) --provenance=mode=max --sbom=true --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) --tag $(IMAGE):$(VERSION) --push .

.PHONY: check-release
check-release: ## Check that TAG is the version of the project and of the chart
	@test "$(TAG)" = "v$(VERSION)" || { echo "TAG=$(TAG), but pyproject.toml has the version $(VERSION)"; exit 1; }
	@grep -qx 'version: $(VERSION)' charts/spillway/Chart.yaml || { echo "charts/spillway/Chart.yaml has another version than $(VERSION)"; exit 1; }
	@grep -qx 'appVersion: "$(VERSION)"' charts/spillway/Chart.yaml || { echo "the appVersion of charts/spillway/Chart.yaml is not $(VERSION)"; exit 1; }

COMPILE := pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml
.PHONY: lock
lock: $(UV_STAMP) ## Resolve the dependencies again into requirements*.lock
	@$(UV) $(COMPILE) --extra report -o requirements.lock
	@$(UV) $(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock

.PHONY: clean
clean: ## Remove build results and tool caches
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find operator localcluster harness demo tests -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: distclean
distclean: clean ## Also remove the environment and the built control plane
	@rm -rf .venv .cache

$(UV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Bootstrapping uv $(UV_VERSION)"
	@$(PYTHON) -m venv --clear $(UV_VENV)
	@$(UV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(STAMP): requirements-dev.lock pyproject.toml | $(UV_STAMP)
	@echo "Installing the locked requirements into $(VENV)"
	@test -x $(RUN) || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --require-hashes --python $(RUN) requirements-dev.lock
	@$(UV) pip install --quiet --no-deps --python $(RUN) --editable .
	@touch $@
