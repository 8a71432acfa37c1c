package pixel

// Portable has f run without the assembly.
func Portable(f func()) {
	avx2, avx512 := setAVX2(false), setAVX512(false)
	defer func() {
		setAVX2(avx2)
		setAVX512(avx512)
	}()
	f()
}
