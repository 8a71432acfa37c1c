//go:build unix

package main

const terminalPath = "/dev/tty"
