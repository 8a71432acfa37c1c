package main

const terminalPath = "CONIN$"
