//go:build !amd64 || noasm || purego

package pixel

// put is putFew.
func (h *huffmanWriter) put(w *bitWriter, data []byte) { h.putFew(w, data) }
