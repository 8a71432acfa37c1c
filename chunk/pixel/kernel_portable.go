//go:build !amd64 || noasm || purego

package pixel

// predictOne is predictFew.
func (b *block) predictOne(at, n int) { b.predictFew(at, n) }

// restoreOne is restore for one set of at most six taps and a step of one.
func (b *block) restoreOne(at, n int) { b.restore6(at, n) }

// sum is sum6.
func (b *block) sum(sums []uint32, at int) { b.sum6(sums, at) }
