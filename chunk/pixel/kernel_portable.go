//go:build !amd64 || noasm || purego

package pixel

// predictOne is predictFew.
func (b *block) predictOne(s *span) { b.predictFew(s, s.len()) }

// expand is expandFew.
func (b *block) expand(at, n int) { b.expandFew(at, n) }

// restoreOne is restoreFew.
func (b *block) restoreOne(s *span, n int) { b.restoreFew(s, n) }

// restoreBoth leaves both rows to restoreOne.
func (b *block) restoreBoth(_, _ *span) {}

// sum is sumFew.
func (b *block) sum(sums []uint32, at int) { b.sumFew(sums, at) }

// classify finds the classes of n tokens at at; the tokens of the row above are there.
func (b *block) classify(at, n int) { b.classifyFew(at, n) }
