//go:build !race

package pixel_test

const stride = 1
