package dicomtest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
)

// A look says how the images of one kind are made up: a body with organs, bones and texture in air, on a table, seen
// through a blur that correlates the noise as a reconstruction kernel does. The numbers were tuned on real series so
// that zstd, and the entropy of the residuals of the MED predictor, come out alike (the tests hold them).
type look struct {
	air, body, bone float64 // grey values
	airNoise        float64 // noise before the blur
	bodyNoise       float64
	spread          float64 // how much bodyNoise differs from place to place, as a power of two either way
	fine            float64 // noise after the blur
	texture         float64 // amplitude of slow changes in the body
	drift           float64 // amplitude of slow changes in the air
	width           int     // of the blur, odd; it is applied twice
	radius          float64 // of the body, 1 reaches the edge of the image
	top             int     // largest grey value
}

const block = 16 // side of the squares of which each has its own noise and texture

// frac is the number of fractional bits of grey values before the blur.
const frac = 4

// A painter makes the images of one series: they share their anatomy, each has its own noise.
type painter struct {
	look
	cols, rows int
	organs     []organ
	grids      [2][]square // at the one end of the anatomy and at the other

	field, tmp []int32
	sums       []int32
}

type organ struct{ x, y, rx, ry, value, dx, dy float64 } // relative to the image; dx, dy is how far it moves from one end to the other

type square struct{ level, noise float64 }

func newPainter(seed [32]byte, l look, cols, rows int) *painter {
	r := rand.New(rand.NewChaCha8(seed))
	p := &painter{look: l, cols: cols, rows: rows}
	for range 24 {
		a, d := r.Float64()*2*math.Pi, math.Sqrt(r.Float64())*0.75*l.radius
		s := (0.03 + 0.15*r.Float64()*r.Float64()) * l.radius
		value := l.body * (0.92 + 0.16*r.Float64())
		if r.IntN(5) == 0 {
			value = l.bone * (0.6 + 0.4*r.Float64())
		}
		p.organs = append(p.organs, organ{
			x: d * math.Cos(a), y: d * math.Sin(a), rx: s, ry: s * (0.6 + 0.8*r.Float64()), value: value,
			dx: 0.1 * (r.Float64() - 0.5), dy: 0.1 * (r.Float64() - 0.5),
		})
	}
	for g := range p.grids {
		p.grids[g] = make([]square, (cols/block+2)*(rows/block+2))
		for i := range p.grids[g] {
			p.grids[g][i] = square{level: r.NormFloat64(), noise: math.Exp2(l.spread * (2*r.Float64() - 1))}
		}
	}
	p.field, p.tmp, p.sums = make([]int32, cols*rows), make([]int32, cols*rows), make([]int32, cols)
	return p
}

// paint returns image number z as 16-bit samples, little endian. The anatomy goes from one end to the other and back
// within 128 images.
func (p *painter) paint(r *rand.Rand, z int) []byte {
	at := math.Abs(float64(z%128)-64) / 64
	p.draw(at)
	p.roughen(r, at)
	for range 2 {
		p.blur()
	}
	return p.samples(r)
}

// draw puts the body, the organs and the table into the field, as grey values; the air is zero.
func (p *painter) draw(at float64) {
	clear(p.field)
	rx, ry := p.radius*(0.95+0.05*at), p.radius*0.8
	p.ellipse(0, 0, rx, ry, p.bone) // the skin, or the skull of a head
	p.ellipse(0, 0, rx*0.95, ry*0.95, p.body)
	for _, o := range p.organs {
		p.ellipse(o.x+o.dx*at, o.y*0.8+o.dy*at, o.rx, o.ry, o.value)
	}
	p.ellipse(0, ry+0.08, 0.7, 0.02, p.body*0.5+p.air)
}

func (p *painter) ellipse(cx, cy, rx, ry, value float64) {
	v := int32(value * (1 << frac))
	w, h := float64(p.cols)/2, float64(p.rows)/2
	for y := max(0, int((cy-ry+1)*h)); y < min(p.rows, int((cy+ry+1)*h)+1); y++ {
		d := ((float64(y)+0.5)/h - 1 - cy) / ry
		if d*d >= 1 {
			continue
		}
		half := rx * math.Sqrt(1-d*d)
		x0, x1 := max(0, int((cx-half+1)*w)), min(p.cols, int((cx+half+1)*w))
		row := p.field[y*p.cols:]
		for x := x0; x < x1; x++ {
			row[x] = v
		}
	}
}

// roughen adds the air, the texture and the noise that the blur will correlate.
func (p *painter) roughen(r *rand.Rand, at float64) {
	stride := p.cols/block + 2
	bits := noise{r: r}
	air := int32(p.air * (1 << frac))
	for y := range p.rows {
		gy, fy := y/block, int32(y%block)
		for gx := 0; gx*block < p.cols; gx++ {
			i := gy*stride + gx
			corner := func(i int) int32 {
				return int32((p.grids[0][i].level*(1-at) + p.grids[1][i].level*at) * (1 << 10))
			}
			left := corner(i)*(block-fy) + corner(i+stride)*fy // 14 fractional bits
			right := corner(i+1)*(block-fy) + corner(i+1+stride)*fy
			rough := p.grids[0][i].noise*(1-at) + p.grids[1][i].noise*at
			bodyNoise, airNoise := int32(p.bodyNoise*rough*(1<<frac)), int32(p.airNoise*(1<<frac))
			texture, drift := int32(p.texture*4), int32(p.drift*4)

			x0 := gx * block
			row := p.field[y*p.cols+x0 : y*p.cols+min(x0+block, p.cols)]
			for x := range row {
				level := (left*int32(block-x) + right*int32(x)) / (block * block) // 10 fractional bits
				if row[x] == 0 {
					row[x] = air + level*drift>>8 + bits.next()*airNoise>>15
				} else {
					row[x] += level*texture>>8 + bits.next()*bodyNoise>>15
				}
			}
		}
	}
}

// blur is a box of width by width pixels, leaving the sums: values grow by width squared.
func (p *painter) blur() {
	w, h := p.width, p.width/2
	if w == 1 {
		return
	}
	for y := range p.rows { // along the rows, into tmp
		src, dst := p.field[y*p.cols:(y+1)*p.cols], p.tmp[y*p.cols:(y+1)*p.cols]
		var sum int32
		for x := -h; x <= h; x++ {
			sum += src[clamp(x, p.cols)]
		}
		for x := range dst {
			dst[x] = sum
			sum += src[clamp(x+h+1, p.cols)] - src[clamp(x-h, p.cols)]
		}
	}
	row := func(y int) []int32 {
		y = clamp(y, p.rows)
		return p.tmp[y*p.cols : (y+1)*p.cols]
	}
	clear(p.sums)
	for y := -h; y <= h; y++ {
		for x, v := range row(y) {
			p.sums[x] += v
		}
	}
	for y := range p.rows {
		dst, in, out := p.field[y*p.cols:(y+1)*p.cols], row(y+h+1), row(y-h)
		for x, s := range p.sums {
			dst[x] = s
			p.sums[x] = s + in[x] - out[x]
		}
	}
}

func clamp(i, n int) int { return min(max(i, 0), n-1) }

// samples scales the blurred field back, adds the fine noise, and cuts off what is out of range.
func (p *painter) samples(r *rand.Rand) []byte {
	bits := noise{r: r}
	scale := int64(1<<32) / int64(p.width*p.width*p.width*p.width)
	fine := int32(p.fine * (1 << frac))
	out := make([]byte, 0, 2*len(p.field)+1)
	for _, v := range p.field {
		g := int32(int64(v)*scale>>32) + 1<<(frac-1)
		if fine > 0 {
			g += bits.next() * fine >> 15
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(min(max(g>>frac, 0), int32(p.top))))
	}
	return out
}

// noise deals out 16-bit random numbers, -32768 to 32767, four to a call of the source.
type noise struct {
	r    *rand.Rand
	bits uint64
	left int
}

func (n *noise) next() int32 {
	if n.left == 0 {
		n.bits, n.left = n.r.Uint64(), 4
	}
	n.left--
	v := int32(int16(n.bits))
	n.bits >>= 16
	return v
}
