# What can be done here. `make help` lists it.

GO      ?= go
DATA    ?= ./data
ENGINES ?= embedded
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)

.PHONY: help build run demo embedded production test quick check fuzz sim exact robustness soak mutate model bench clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build mailstored and carbonio into bin/
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/mailstored ./cmd/carbonio

run: build $(ENGINES) ## run three mailstores in the foreground under DATA (default ./data), on ENGINES (embedded, production)
	bin/mailstored dev --data $(DATA) --mailstores 3 --engines $(ENGINES)

demo: build $(ENGINES) ## kill a mailstore under load, promote its accounts, prove that nothing is lost; on ENGINES
	$(GO) run ./internal/demo --bin bin --engines $(ENGINES)

embedded:

production: ## install Kafka, MariaDB and an S3 server for ENGINES=production
	./scripts/engines

test: ## everything: formatting, vet, linter, import rules, unit and end-to-end tests
	./scripts/test

quick: ## the tests without the end-to-end and the robustness suites
	$(GO) test $$($(GO) list ./... | grep -Ev '/internal/(e2e|robustness)$$')

check: ## formatting, vet, linter, go.mod
	./scripts/check

fuzz: ## every fuzz target for FUZZTIME (default 30s) each; FUZZ=imap those named so, FUZZLIST=1 only names them
	./scripts/fuzz

sim: ## simulate clusters from SEEDS (default 100) seeds after FIRST (default 1), and go on for MINUTES (default 0); SEED=… replays one
	$(GO) run ./internal/sim/exact $(if $(SEED),-seed $(SEED),-seeds $(or $(SEEDS),100) -first $(or $(FIRST),1) -for $(or $(MINUTES),0)m)

exact: ## run SEEDS (default 20) seeds after FIRST (default 1) twice each, and compare what happened to the last line
	$(GO) run ./internal/sim/exact -twice -seeds $(or $(SEEDS),20) -first $(or $(FIRST),1)

model: ## walk through a model of the whole system, and without each of its rules, for SECONDS (default 5) each
	$(GO) run ./internal/sim/model -for $(or $(SECONDS),5)s

robustness: $(ENGINES) ## play all scenarios on processes, on ENGINES, with SEEDS (default 1) seeds after FIRST (default 1), and in the simulation
	$(GO) test ./internal/sim -run 'TestScenarios$$' -count=1 -timeout 0 -all -seed $(or $(FIRST),1)
	$(GO) test ./internal/robustness -run 'TestScenarios$$' -count=1 -timeout 0 -all -engines $(ENGINES) -seeds $(or $(SEEDS),1) -seed $(or $(FIRST),1) -v

soak: build $(ENGINES) ## load and faults for MINUTES (default 10) on ENGINES; a report in soak/ tells what stays level
	$(GO) run ./internal/robustness/soak -bin bin -engines $(ENGINES) -minutes $(or $(MINUTES),10)

mutate: ## take each rule away from the real code in turn, and have the simulation find it within SEEDS (default 200) seeds
	$(GO) run ./internal/sim/mutate -seeds $(or $(SEEDS),200)

bench: build ## measure against Dovecot and Cyrus and write docs/benchmarks.md; WITHOUT=cyrus,production ROUNDS=3 WARM=20 SECONDS=3 COPY=20000 REMARK='…', CHECK=1 to compare instead
	WITHOUT='$(WITHOUT)' ./scripts/bench
	$(GO) build -o bin/ ./internal/bench
	bin/bench run --bin bin --without '$(WITHOUT)' --rounds $(or $(ROUNDS),3) --warm $(or $(WARM),20)s --for $(or $(SECONDS),3)s --copy $(or $(COPY),20000) \
		--remark '$(REMARK)' $(if $(CHECK),--check)

clean: ## remove bin/
	rm -rf bin
