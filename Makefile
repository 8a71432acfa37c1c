# Everything a person needs: make demo, make test. The rest is for those who work on orthokeep.

GO ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Orthanc from the distribution, unpacked below .cache, where there is none; nothing is installed or started.
ORTHANC = [ -n "$$ORTHOKEEP_ORTHANC" ] || command -v Orthanc >/dev/null || [ -x /usr/sbin/Orthanc ] || sh orthanc/orthanctest/get-orthanc.sh

.PHONY: compare bench ratio bench-scale bench-catalogue build cover crash damage demo test simulate torture torture-setup torture-debian13 check fuzz clean

build: ## the command, ./orthokeep
	$(GO) build -trimpath -o orthokeep ./cmd/orthokeep

demo: build ## back up a real Orthanc on loopback, restore it, start it again and compare
	@$(ORTHANC)
	$(GO) run ./bench/demo

RACE ?= $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && echo -race)
test: ## all tests, those against a real Orthanc included, one package at a time since some watch the clock; with the race detector where there is a C compiler
	@$(ORTHANC)
	$(GO) test $(RACE) -p 1 -timeout 45m ./...
	$(GO) test -run TestWrongWritersAreCaught ./snapshot

NIGHTS ?= 730
MODEL ?= 100
simulate: ## NIGHTS nights of backups with a prune each day, and MODEL seeds of random runs that get in each other's way
	ORTHOKEEP_NIGHTS=$(NIGHTS) ORTHOKEEP_MODEL=$(MODEL) $(GO) test -count=1 -timeout 2h -v -run 'TestYears|TestModel' ./snapshot

crash: ## a crash at every change of a file that init, backup, prune and repair make, each with 32 seeds of what survives
	ORTHOKEEP_CRASH=32 $(GO) test -count=1 -timeout 12h -v -run 'TestCrash|TestInitSurvives' ./repo ./snapshot

DAMAGE ?= 2000
damage: ## DAMAGE flipped bits, lost sectors, cut and deleted files at random places of a repository, without parity and with
	ORTHOKEEP_DAMAGE=$(DAMAGE) $(GO) test -count=1 -timeout 1h -v -run 'TestDamage' ./snapshot

COVERED = ./repo ./repo/storage ./snapshot
cover: ## the share of error branches that tests go through, and each one that they do not
	@mkdir -p .cache
	ORTHOKEEP_CRASH=1 $(GO) test -timeout 30m -coverprofile=.cache/cover.out -coverpkg=./repo,./repo/storage,./snapshot ./repo ./repo/storage/... ./snapshot
	$(GO) run ./bench/coverage -profile .cache/cover.out -least 90 $(COVERED)

TORTURE ?= 10
torture: ## the kills of the tests and the snapshots under load, TORTURE times as often; the figures of the window, with an index of 1 GB too
	@$(ORTHANC)
	ORTHOKEEP_TORTURE=$(TORTURE) $(GO) test -count=1 -timeout 4h -v -run 'TestReal(Kill|Figures|Load|Locks)' ./cmd/orthokeep

torture-setup: ## both Orthancs: the distribution's, and 1.12.7 of Debian 13, which needs root
	sh orthanc/orthanctest/get-orthanc.sh
	sh orthanc/orthanctest/get-debian13.sh

torture-debian13: torture-setup ## the same and all other tests against a real Orthanc, with that of Debian 13; in Docker, and under systemd in a container
	ORTHOKEEP_TORTURE=$(TORTURE) ORTHOKEEP_ORTHANC=$(CURDIR)/.cache/debian13/Orthanc $(GO) test -count=1 -timeout 4h -v ./orthanc/... ./cmd/orthokeep

check: ## what every commit passes
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	GOOS=windows $(GO) build ./...
	GOOS=darwin $(GO) build ./...
	GOARCH=arm64 $(GO) vet ./...

FUZZTIME ?= 10s
fuzz: ## each fuzz target for FUZZTIME
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x $$p || exit 1; \
		done; done

ratio: ## what a repository takes up against tar and zstd -3, on CORPUS (a list of folders with DICOM files)
	$(GO) run ./bench/ratio $(CORPUS)

COMPARE ?= -megabytes 1000
ROUNDS ?= 3
compare: build ## the same nights with orthokeep and every peer that can be had, on generated studies or those of CORPUS; ROUNDS of each
	@$(ORTHANC)
	@sh bench/compare/get-peers.sh >/dev/null || echo "some peers cannot be fetched; those on PATH are used" >&2
	PATH="$(CURDIR)/.cache/peers/bin:$$PATH" $(GO) run ./bench/compare -rounds $(ROUNDS) $(if $(CORPUS),-corpus $(CORPUS),$(COMPARE))

COUNT ?= 6
bench: ## each stage of a backup and of the way back, COUNT times, for benchstat; encode and decode also on the folders of ORTHOKEEP_DICOM
	$(GO) test -run '^$$' -bench '^Benchmark(ReadStorageArea|Scan|Splitter|MD5|Read|Stage|Encode|Decode|Backup|Restore)$$' -benchmem -count $(COUNT) ./orthanc ./chunk ./chunk/pixel ./snapshot ./repo

SIZES ?= 10000,100000,1000000
PEERS_SIZE ?= 200000
bench-scale: ## what a night costs as an archive grows to SIZES attachments; and at PEERS_SIZE beside restic, borg and kopia, where they are installed
	@$(ORTHANC)
	$(GO) run ./bench/scale -attachments $(SIZES) -nights 6
	$(GO) run ./bench/scale -attachments $(PEERS_SIZE) -nights 6 -peers restic,borg,kopia

BLOBS ?= 10000000
bench-catalogue: ## what a catalogue of BLOBS blobs costs: time, memory, disk; takes 220 bytes of TMPDIR for each
	$(GO) run ./bench/catalogue -blobs $(BLOBS)

clean:
	rm -rf orthokeep .cache
