package pixel

// kernelWeights are the factors of the kernels: the weights of the pairs (above, above left), (above right, second above), (second above left,
// second above right), (above twice right, above twice left), and a constant; then, of predictAVX2, those of the pair to the left; of the others, which
// have 16 fractional bits, the weights of the sample to the left and of the second one.
type kernelWeights [7]uint32

// pair is two weights as the factors of a multiplication of pairs.
func pair(a, b int32) uint32 { return uint32(uint16(a)) | uint32(b)<<16 }

// above gives the kernelWeights of the rows above, and the constant that rounds and makes up for the flipped bits of as many weights.
func (w *weights) above(flipped int32) kernelWeights {
	return kernelWeights{pair(w[1], w[2]), pair(w[3], w[5]), pair(w[6], w[7]), pair(w[8], w[9]), weightOne/2 + uint32(flipped)<<15}
}

// forward gives the weights for predictAVX2.
func (w *weights) forward() kernelWeights {
	k := w.above(w.sumAbove() + w[0] + w[4])
	k[5] = pair(w[0], w[4])
	return k
}

// back gives the weights for the kernels that restore.
func (w *weights) back() kernelWeights {
	k := w.above(w.sumAbove())
	k[4] <<= 4
	k[5], k[6] = uint32(w[0])<<4, uint32(w[4])<<4
	return k
}

func (w *weights) sumAbove() int32 { return w[1] + w[2] + w[3] + w[5] + w[6] + w[7] + w[8] + w[9] }
