package pixel

// Portable has f run without the assembly.
func Portable(f func()) {
	was := setAVX2(false)
	defer setAVX2(was)
	f()
}
