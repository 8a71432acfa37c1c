//go:build !noasm && !purego

package pixel

func setAVX2(on bool) (was bool) {
	was, useAVX2 = useAVX2, on
	return was
}
