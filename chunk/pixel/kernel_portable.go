//go:build !amd64 || noasm || purego

package pixel

// predictOne is predict for one set of at most six taps and a step of one.
func (b *block) predictOne(at, n int) { b.predict6(at, n) }

// restoreOne is restore for one set of at most six taps and a step of one.
func (b *block) restoreOne(at, n int) { b.restore6(at, n) }

// sum is sum6.
func (b *block) sum(sums []uint32, at int) { b.sum6(sums, at) }
