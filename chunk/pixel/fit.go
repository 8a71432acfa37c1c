package pixel

import (
	"encoding/binary"
	"math"
)

// effort is what a Level means.
type effort struct {
	taps, sets, classes, groups int // groups: how many groups are looked at to fit a block
}

// plane is the weights of the plane through left, above and above-left, used where nothing can be fitted.
var plane = weights{weightOne, weightOne, -weightOne}

// fit chooses weights and classes for the block of n samples (whole groups), looking at some of the groups, spread
// over it. Its floating-point products are rounded one by one, so that every machine chooses the same.
func (b *block) fit(n int, f effort) {
	groups := n / group
	count := min(groups, f.groups)
	b.ntaps, b.nsets = f.taps, 1
	b.setOf = [maxClasses]uint8{}
	var all normal
	step := 3 // in larger blocks: neighbours say little new
	if groups == count {
		step = 1
	}
	few := min(count, 512)
	for k := range few {
		b.observe(&all, group*pick(groups, few, k), step)
	}
	b.sets[0], b.ntaps = all.weights(f.taps)
	b.widen()

	classes := min(f.classes, max(1, n/4096))
	if classes == 1 {
		b.nclasses = 1
		b.setClasses()
		return
	}
	var population [maxBand]int
	bands := make([]uint8, count)
	for k := range count {
		band := uint8(band(b.windowAbove(group * pick(groups, count, k))))
		bands[k] = band
		population[band]++
	}
	b.divide(&population, count, classes)
	if f.sets == 1 || b.nclasses < f.sets {
		return
	}
	b.nsets = f.sets
	var sums [maxSets]normal
	for c := range b.nclasses {
		b.setOf[c] = uint8(c * f.sets / b.nclasses)
	}
	for k := range count {
		class := 0
		for class+1 < b.nclasses && bands[k] >= b.first[class+1] {
			class++
		}
		b.observe(&sums[b.setOf[class]], group*pick(groups, count, k), step)
	}
	for s := range f.sets {
		if sums[s].samples < 64 {
			b.sets[s] = b.sets[0]
			continue
		}
		b.sets[s], _ = sums[s].weights(f.taps)
	}
}

// pick is the k-th of count numbers below n, spread over them.
func pick(n, count, k int) int {
	stride := n / count
	return k*stride + int(uint32(k)*2654435761>>16)%stride
}

// divide makes at most classes classes of about equal population; band 0 stands alone where it is not rare.
func (b *block) divide(population *[maxBand]int, total, classes int) {
	b.first = [maxClasses]byte{}
	b.nclasses = 1
	band, left := 0, total
	if population[0]*64 >= total {
		left -= population[0]
		band = 1
		if left > 0 && classes > 1 {
			b.first[1] = 1
			b.nclasses = 2
		}
	}
	for sum := 0; band < maxBand-1 && b.nclasses < classes; band++ {
		sum += population[band]
		if todo := classes - b.nclasses + 1; sum > 0 && left > sum && sum*todo >= left {
			b.first[b.nclasses] = byte(band + 1)
			b.nclasses++
			left -= sum
			sum = 0
		}
	}
	b.setClasses()
}

// at is the i-th sample of the block; history has negative indices.
func (b *block) at(i int) int { return int(sample(b.samples, 2*(b.sampleAt+i))) }

// windowAbove is the sum of the eight tokens that stand above the group at i, as weights sets[0] give them. They are left where
// predict will put the block's; an edge makes no difference that counts.
func (b *block) windowAbove(i int) int {
	above := i - b.grid.row
	if above > -group {
		at := max(above, 0)
		b.predictSpan(&span{at, at + group, false})
	}
	return windowSum(binary.LittleEndian.Uint64(b.tokens[b.tokenAt+above:]))
}

// normal collects the normal equations of a weighted least-squares fit. Its unknowns are all taps but the one above
// (index 1), which all are taken relative to: so the weights add up to one.
type normal struct {
	a       [maxTaps - 1][maxTaps]float64 // the lower triangle, and the right-hand side in the last column
	squares float64                       // of what is to be explained
	samples int
}

// observe adds every step-th sample of the group at i. Samples count less where the image is busy.
func (b *block) observe(m *normal, i, step int) {
	var d [maxTaps]float64
	for k := i + step/2; k < i+group; k += step {
		north := b.at(k - b.grid.row)
		west, nw, ne := b.at(k-b.grid.step), b.at(k-b.grid.row-b.grid.step), b.at(k-b.grid.row+b.grid.step)
		busy := 1 / float64(6+abs(west-nw)+abs(north-nw)+abs(ne-north))
		d[0] = float64(west - north)
		for t := 2; t < b.ntaps; t++ {
			d[t-1] = float64(b.at(k+b.grid.offset(t)) - north)
		}
		target := float64(b.at(k) - north)
		m.samples++
		m.squares += float64(float64(target*busy) * target)
		for r := range b.ntaps - 1 {
			v := d[r] * busy
			row := &m.a[r]
			for c := range r + 1 {
				row[c] += float64(v * d[c])
			}
			row[maxTaps-1] += float64(v * target)
		}
	}
}

func abs(v int) int { return max(v, -v) }

// weights solves the equations for n taps, or for the first four of six where the others explain little: four are quicker.
func (m *normal) weights(n int) (w weights, taps int) {
	k := n - 1
	trace := 0.0
	for r := range k {
		trace += m.a[r][r]
	}
	if trace == 0 {
		return plane, n
	}
	// Cholesky: a = l·lᵀ, in place, with a little added to the diagonal.
	for r := range k {
		m.a[r][r] += trace * 1e-7
		for c := range r + 1 {
			s := m.a[r][c]
			for j := range c {
				s -= float64(m.a[r][j] * m.a[c][j])
			}
			if r != c {
				m.a[r][c] = s / m.a[c][c]
			} else if s <= 0 {
				return plane, n
			} else {
				m.a[r][r] = math.Sqrt(s)
			}
		}
	}
	var y, x [maxTaps]float64
	for r := range k {
		s := m.a[r][maxTaps-1]
		for j := range r {
			s -= float64(m.a[r][j] * y[j])
		}
		y[r] = s / m.a[r][r] // whose square is what this tap explains beyond those before it
	}
	if n == 6 {
		left := m.squares - float64(y[0]*y[0]) - float64(y[1]*y[1]) - float64(y[2]*y[2])
		if float64(y[3]*y[3])+float64(y[4]*y[4]) < left/5 {
			n, k = 4, 3
		}
	}
	w[1] = weightOne
	for r := k - 1; r >= 0; r-- {
		s := y[r]
		for j := r + 1; j < k; j++ {
			s -= float64(m.a[j][r] * x[j])
		}
		x[r] = s / m.a[r][r]
		t := r
		if r > 0 {
			t = r + 1
		}
		if math.Abs(x[r]) > maxWeight/weightOne {
			return plane, n
		}
		w[t] = int32(math.Round(x[r] * weightOne))
		w[1] -= w[t]
	}
	if !w.valid() {
		return plane, n
	}
	return w, n
}
