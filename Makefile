# Everything here works from a clean clone with python3, its venv module and pip; the first call installs into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: mnist_gan birds_256 coopnet stylex test test_tensorflow test_jax test_torch nightly lint style docs bench clean
.DELETE_ON_ERROR:

# Watch a conditional GAN learn handwritten digits, and make the page of its run.
mnist_gan: $(VENV)/.digits
	$(BIN)/python -m zoo.mnist_gan --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Watch a text-conditioned GAN learn drawn birds at 64, 128 and 256 pixels from their captions.
birds_256: $(VENV)/.digits
	$(BIN)/python -m zoo.birds_256 --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Watch a descriptor and a generator teach each other to draw handwritten digits, side by side.
coopnet: $(VENV)/.digits
	$(BIN)/python -m zoo.coopnet --preset=quick
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Watch a generator learn what a classifier of eights and nines looks at, and make the page of the attributes.
stylex: $(VENV)/.digits
	$(BIN)/python -m zoo.stylex --preset=quick
	$(BIN)/python -m zoo.explain --checkpoint="$$(ls -t runs/*/checkpoints/stylex_*_G_epoch_*.h5 | head -n 1)"
	@echo "Open this page: $$(ls -t "$(CURDIR)"/runs/*/index.html | head -n 1)"

# Everything on TensorFlow, then the contracts that hold on every backend on JAX and torch.
test: lint test_tensorflow test_jax test_torch

test_tensorflow: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -n 2 --dist worksteal

test_jax: $(VENV)/.test
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist worksteal -m "backend and not nightly"

test_torch: $(VENV)/.test
	KERAS_BACKEND=torch $(BIN)/python -m pytest -m "backend and not nightly"

# Long test matrices: run before a release.
nightly: $(VENV)/.test
	KERAS_BACKEND=tensorflow $(BIN)/python -m pytest -m nightly
	KERAS_BACKEND=jax $(BIN)/python -m pytest -m "backend and nightly"
	KERAS_BACKEND=torch $(BIN)/python -m pytest -m "backend and nightly"

lint: docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

style: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The documentation site, in site/.
docs: $(VENV)/.test
	mkdir -p docs/images
	cp benchmarks/results/*.png docs/pictures/*.gif docs/images/
	$(BIN)/zensical build --strict

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.speed

# Not the runs: they are somebody's pictures.
clean:
	rm -rf $(VENV) build dist site docs/images *.egg-info .pytest_cache .ruff_cache .cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment a checkout; a stamp for each thing installed into it, renewed when the dependencies change.
$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.digits: $(VENV)/.made setup.cfg pyproject.toml
	@echo "Installing kerasgan and what it needs into $(VENV): once, a few minutes."
	$(BIN)/python -m pip install --quiet --editable ".[digits]"
	@touch $@

$(VENV)/.test: $(VENV)/.made setup.cfg pyproject.toml
	@echo "Installing kerasgan and what its tests need into $(VENV): once, a few minutes."
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@ $(VENV)/.digits
