//go:build !linux

package orthanc

// FindProcess is not supported on this system: the error is ErrNotSupported.
func FindProcess(string) (*Process, error) { return nil, ErrNotSupported }

// Environment is not supported on this system: the error is ErrNotSupported.
func (p *Process) Environment() (func(string) (string, bool), error) { return nil, ErrNotSupported }
