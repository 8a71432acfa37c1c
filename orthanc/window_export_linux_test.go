package orthanc

// SetSystemdRunning names another folder by which systemd is recognised, and returns what puts it back.
func SetSystemdRunning(folder string) (back func()) {
	was := systemdRunning
	systemdRunning = folder
	return func() { systemdRunning = was }
}
