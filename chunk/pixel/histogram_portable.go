//go:build !amd64 || noasm || purego

package pixel

// many is add for many bytes.
func (c *counts) many(data []byte) { c.add(data) }
