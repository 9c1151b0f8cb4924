# All targets work from a clean clone with python3, its venv module and pip. The first call installs into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: mnist_gan birds_256 coopnet stylex test test_tensorflow test_jax test_torch nightly lint style site docs bench bench_check clean
.DELETE_ON_ERROR:

# Train a conditional GAN on handwritten digits and write the page of the run.
mnist_gan: $(VENV)/.digits
	$(BIN)/python -m zoo.mnist_gan --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Train a text-conditioned GAN on synthetic birds with captions at 64, 128 and 256 pixels.
birds_256: $(VENV)/.digits
	$(BIN)/python -m zoo.birds_256 --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Train a CoopNet on handwritten digits.
coopnet: $(VENV)/.digits
	$(BIN)/python -m zoo.coopnet --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Train a StylEx on a classifier of eights and nines, and write the page of the attributes that the classifier uses.
stylex: $(VENV)/.digits
	$(BIN)/python -m zoo.stylex --preset=quick
	$(BIN)/python -m zoo.explain --checkpoint="$$(ls -t runs/*/checkpoints/stylex_*_G_epoch_*.h5 | head -n 1)"
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# All tests on TensorFlow, then the tests marked `backend` on JAX and PyTorch.
test: lint test_tensorflow test_jax test_torch

test_tensorflow: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2 --dist worksteal

test_jax: $(VENV)/.test
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist worksteal -m "backend and not nightly"

test_torch: $(VENV)/.test
	KERAS_BACKEND=torch OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "backend and not nightly"

# Long test matrices, and all tests on JAX with the optimizations of XLA: run before a release.
nightly: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -m nightly
	KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(BIN)/python -m pytest -m backend
	KERAS_BACKEND=torch $(BIN)/python -m pytest -m "backend and nightly"

lint: site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

style: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation site, in site/. `docs` adds the files of its live demo, which takes a minute or more and needs npm.
site: $(VENV)/.test
	$(BIN)/zensical build --strict

docs: site
	$(BIN)/python docs/demo/build.py site/demo

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.speed

# Before a release, on an idle machine: is a step slower than recorded, relative to its peer?
bench_check: $(VENV)/.test
	$(BIN)/python -m benchmarks.speed --check

# Keeps runs/, which holds trained models.
clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment per checkout. Stamp files record what is installed; changed dependencies renew them.
$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.digits: $(VENV)/.made setup.cfg pyproject.toml
	@echo "Installing kerasgan and its dependencies into $(VENV). This takes a few minutes, once."
	$(BIN)/python -m pip install --quiet --editable ".[digits]"
	@touch $@

$(VENV)/.test: $(VENV)/.made setup.cfg pyproject.toml
	@echo "Installing kerasgan and the dependencies of its tests into $(VENV). This takes a few minutes, once."
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@ $(VENV)/.digits
