package repo

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func randomBytes(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func parityOf(object []byte, percent int) []byte {
	return marshalParity(object, hashPack(object), percent)
}

func mustParseParity(t *testing.T, raw []byte) parity {
	t.Helper()
	p, whole, err := parseParity("parity/x", raw)
	if err != nil || !whole {
		t.Fatalf("whole %v, %v", whole, err)
	}
	return p
}

// TestParityLength compares the length of parity with what it is to be, and with the share.
func TestParityLength(t *testing.T) {
	for _, percent := range []int{1, 5, 10, 37, 100} {
		for _, n := range []int{1, 2, 4095, 4096, 4097, 50_000, 82_000, 1 << 20} {
			object := randomBytes(1, n)
			raw := parityOf(object, percent)
			p := mustParseParity(t, raw)
			if p.stripes != stripesFor(int64(n), percent) || int64(len(raw)) != p.total() {
				t.Errorf("%d bytes at %d %%: %+v, %d bytes", n, percent, p.stripes, len(raw))
			}
			// One shard or two for each stripe, however short it is; some 0.2 % for checksums.
			share := 100 * parityShards / float64(p.d) // at least percent
			if most := int(float64(n)*(share+0.3)/100) + 2*(shardSize+8) + 100; len(raw) > most {
				t.Errorf("%d bytes at %d %%: parity of %d bytes, at most %d", n, percent, len(raw), most)
			}
			data := 0
			for stripe := range p.count() {
				if k := p.data(stripe); k < 1 || k > p.d || k != len(p.collect(object, stripe)) {
					t.Fatalf("stripe %d of %+v has %d shards", stripe, p.stripes, k)
				}
				data += p.data(stripe)
			}
			if data != p.shards() {
				t.Errorf("%+v: %d shards in stripes of %d", p.stripes, data, p.shards())
			}
		}
	}
}

// TestParityHeals damages objects in all the ways that their parity is to heal.
func TestParityHeals(t *testing.T) {
	for _, n := range []int{1, 100, 4096, 5000, 81_920, 500_000} {
		object := randomBytes(2, n)
		p := mustParseParity(t, parityOf(object, 5))
		heals := func(what string, damage func(b []byte)) {
			t.Helper()
			b := bytes.Clone(object)
			damage(b)
			if !p.heal(b) || !bytes.Equal(b, object) {
				t.Errorf("%d bytes, %s: not healed", n, what)
			}
		}
		heals("nothing", func([]byte) {})
		for i := range min(n, 2000) {
			at := i * n / min(n, 2000)
			heals("a bit", func(b []byte) { b[at] ^= 1 << (i % 8) })
		}
		for i := range p.shards() {
			heals("a sector", func(b []byte) { clear(p.shard(b, i)) })
		}
		heals("neighbouring sectors, one of each stripe for each of its parity shards", func(b []byte) {
			clear(b[:min(n, p.count()*p.p*p.size())])
		})
	}
}

// TestParityGivesUp sees that what cannot be healed is not taken for healed.
func TestParityGivesUp(t *testing.T) {
	object := randomBytes(3, 500_000)
	p := mustParseParity(t, parityOf(object, 5))
	b := bytes.Clone(object)
	for n := range p.p + 1 { // of one stripe
		clear(p.shard(b, n*p.count()))
	}
	if p.heal(b) {
		t.Error("more sectors than parity shards were healed")
	}
}

// TestDamagedParity sees that damage of the parity itself is found, and that it is of use still.
func TestDamagedParity(t *testing.T) {
	object := randomBytes(4, 100_000)
	raw := parityOf(object, 5)
	for at := range len(raw) {
		b := bytes.Clone(raw)
		b[at] ^= 4
		p, whole, err := parseParity("parity/x", b)
		if err == nil && whole {
			t.Fatalf("byte %d: not found", at)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if at%97 != 0 || err != nil || at < parityHead {
			continue
		}
		damaged := bytes.Clone(object)
		damaged[5000] ^= 1
		if !p.heal(damaged) || !bytes.Equal(damaged, object) {
			t.Errorf("with byte %d of the parity damaged, a bit is not healed", at)
		}
	}
	for _, n := range []int{0, 47, 79, 80, len(raw) - 1} {
		if _, _, err := parseParity("parity/x", raw[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func FuzzParity(f *testing.F) {
	f.Add(parityOf([]byte("orthokeep"), 5), []byte("orthokeep"))
	f.Add(parityOf(randomBytes(5, 9000), 50), randomBytes(5, 9000))
	f.Fuzz(func(t *testing.T, raw, object []byte) {
		p, _, err := parseParity("parity/x", raw)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		if p.length != int64(len(object)) {
			return
		}
		if p.heal(object) && hashPack(object) != p.hash {
			t.Fatal("healed to something else")
		}
	})
}

func BenchmarkParity(b *testing.B) {
	pack := randomBytes(6, DefaultPackSize)
	b.SetBytes(int64(len(pack)))
	hash := hashPack(pack)
	for b.Loop() {
		marshalParity(pack, hash, 5)
	}
}
