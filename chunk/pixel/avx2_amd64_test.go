//go:build !noasm && !purego

package pixel

func setAVX2(on bool) (was bool) {
	was, useAVX2 = useAVX2, on
	return was
}

func setAVX512(on bool) (was bool) {
	was, useAVX512 = useAVX512, on
	return was
}
