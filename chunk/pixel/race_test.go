//go:build race

package pixel_test

// stride thins out the long tests, which are twenty times slower under the race detector.
const stride = 13
