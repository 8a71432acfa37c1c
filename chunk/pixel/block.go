package pixel

import "math"

// A stream is cut into blocks (the last may be shorter). Each has its own weights, classes and code tables; neighbours reach
// back into the block before. A block holds 2^18 samples, or 3·2^16 where pixels have three.
func (g grid) blockSamples() int {
	if g.step == 3 {
		return 3 << 16
	}
	return 1 << 18
}

// block is the state that encoder and decoder share. Invariant: samples before sampleAt and tokens before tokenAt are those of
// the blocks before, or the start values.
type block struct {
	grid      grid
	samples   []byte // 16 bits each, low byte first; history, the block, and padding up to a whole group
	sampleAt  int    // index of the block's first sample in samples
	before    int    // samples of the stream before the block
	tokens    []byte
	tokenAt   int
	classes   []byte                 // of each group
	residuals [maxRun + group]uint16 // of a run, zig-zagged, where a kernel makes tokens from them
	extra     []byte                 // extra bytes; when decoding, with slack behind them
	extraAt   int                    // how many of them are read

	ntaps, nsets, nclasses int
	sets                   [maxSets]weights
	wideSets               [maxSets]wideWeights // the same as sets, by widen
	forward, back          kernelWeights        // and as sets[0]
	setOf                  [maxClasses]uint8
	first                  [maxClasses]byte  // first band of each class; that of class 0 is 0
	below                  [maxClasses]int16 // the largest sum of each class but the last
	table                  [2048]uint8       // class of each sum
	count                  [maxClasses]int   // groups of each class
}

const (
	startToken  = 16 // stands for the tokens before the first
	storedToken = 64 // stands for the tokens of a stored block
)

// slack is the bytes beyond samples and extra bytes, so that a kernel's pointers stay inside when they have gone through all.
const slack = 16

// classSlack is the groups that may be looked at beyond those there are: classes are found for so many at once.
const classSlack = 16

// begin makes room for n samples that follow one another as g says.
func (b *block) begin(g grid, n int) {
	b.grid, b.before = g, 0
	b.sampleAt, b.tokenAt = g.history()+2, g.row
	n = padded(min(n, g.blockSamples()))
	b.samples = resize(b.samples, 2*(b.sampleAt+n)+slack)
	b.tokens = resize(b.tokens, b.tokenAt+n+classSlack*group)
	b.classes = resize(b.classes, n/group+classSlack)
}

// padded is n made up to whole groups.
func padded(n int) int { return (n + group - 1) &^ (group - 1) }

// fill sets the start values: start stands for the samples before the first.
func (b *block) fill(start uint16) {
	for i := range b.sampleAt {
		b.samples[2*i], b.samples[2*i+1] = byte(start), byte(start>>8)
	}
	for i := range b.tokenAt {
		b.tokens[i] = startToken
	}
}

// advance makes the block of n samples the history of the next.
func (b *block) advance(n int) {
	copy(b.samples[:2*b.sampleAt], b.samples[2*n:])
	copy(b.tokens[:b.tokenAt], b.tokens[n:])
	b.before += n
}

// body returns the bytes of the block's n samples.
func (b *block) body(n int) []byte { return b.samples[2*b.sampleAt:][:2*n] }

// maxRun is the largest run.
const maxRun = 2048

// run is the number of samples that may be done at once: the classes of a run depend on tokens before it only.
func (b *block) run() int { return min(b.grid.row-8, maxRun) &^ (group - 1) }

// resize returns a slice of n bytes, b's own memory when that suffices. Its contents are not defined.
func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// widen fills wideSets, forward and back from sets.
func (b *block) widen() {
	for s := range b.nsets {
		for t, w := range b.sets[s] {
			b.wideSets[s][t] = uint64(int64(w))
		}
	}
	b.forward, b.back = b.sets[0].forward(), b.sets[0].back()
}

// wide returns the weights for the group of sample i.
func (b *block) wide(i int) *wideWeights {
	return &b.wideSets[b.setOf[b.classes[i/group]%maxClasses]%maxSets]
}

// valid reports whether w keeps sums inside their lanes.
func (w *weights) valid() bool {
	sum := 0
	for _, v := range w {
		sum += int(math.Abs(float64(v)))
	}
	return sum <= maxWeight
}
