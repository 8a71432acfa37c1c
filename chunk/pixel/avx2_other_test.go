//go:build !amd64 || noasm || purego

package pixel

func setAVX2(bool) bool { return false }

func setAVX512(bool) bool { return false }
