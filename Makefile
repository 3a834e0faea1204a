# Two commands are enough: `make run` and `make test`. The rest is in `make help`.
VENV ?= .venv
BIN = $(VENV)/bin
export LUJAN_VENV = $(VENV)

.PHONY: help run test ui docs stop clean install install-dev check lock
.DEFAULT_GOAL := help

help: ## Esta ayuda
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: install ## Corre todo: fuentes, modelos, controles y exportaciones
	@$(BIN)/lujan run $(ARGS)

test: install-dev ## Instala lo que las pruebas necesitan y las corre todas
	@./deploy/test-services.sh
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

ui: install ## Dagster en http://127.0.0.1:3000
	@$(BIN)/lujan ui

docs: install ## Documentación dbt, servida en http://127.0.0.1:8081
	@$(BIN)/lujan docs

stop: ## Detiene el almacén embebido
	@if [ -x $(BIN)/lujan ]; then $(BIN)/lujan stop; else echo "No hay nada en marcha."; fi

clean: ## Borra los datos generados y el entorno
	@if [ -x $(BIN)/lujan ]; then $(BIN)/lujan clean --yes; fi
	@rm -rf $(VENV) .bootstrap dbt_project/target dbt_project/logs

install:
	@./deploy/bootstrap.sh

install-dev:
	@./deploy/bootstrap.sh dev

check: install-dev ## Formato, estilo, tipos, capas y SQL
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests dbt_project/snapshots --disable-progress-bar --processes 0

lock: ## Rehace los archivos de versiones (necesita uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header -q pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --no-header -q pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock
