package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchSignals returns a context that ends with the first SIGINT or SIGTERM. The command then puts right what it has begun
// (a window above all); the second signal ends the program at once. stop ends the catching.
func (p *program) catchSignals(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	stopped := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-caught:
			signal.Stop(caught)
			p.note("interrupted: ending in good order; a second signal ends at once")
			cancel()
		case <-stopped:
			signal.Stop(caught)
		}
	}()
	return ctx, func() {
		close(stopped)
		<-ended
		cancel()
	}
}
