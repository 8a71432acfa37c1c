package snapshot

import (
	"cmp"
	"context"
	"iter"

	"golang.org/x/sync/errgroup"
)

// ordered runs work on every item, n at a time, and hands the results to take in the order of the items; take runs
// in one goroutine. At most ahead results wait. The first error of items, work or take ends it and is returned; a
// cancelled ctx is an error even if every started item succeeded.
func ordered[T, R any](ctx context.Context, n, ahead int, items iter.Seq2[T, error], work func(context.Context, T) (R, error), take func(R) error) error {
	type job struct {
		item T
		out  chan R
	}
	g, gctx := errgroup.WithContext(ctx)
	jobs, queue := make(chan job), make(chan chan R, ahead)
	g.Go(func() error {
		defer close(queue)
		defer close(jobs)
		for item, err := range items {
			if err != nil {
				return err
			}
			j := job{item, make(chan R, 1)}
			select {
			case queue <- j.out:
			case <-gctx.Done():
				return gctx.Err()
			}
			select {
			case jobs <- j:
			case <-gctx.Done():
				return gctx.Err()
			}
		}
		return nil
	})
	for range n {
		g.Go(func() error {
			for j := range jobs {
				r, err := work(gctx, j.item)
				if err != nil {
					return err
				}
				j.out <- r
			}
			return nil
		})
	}
	g.Go(func() error { return takeAll(gctx, queue, take) })
	return cmp.Or(g.Wait(), ctx.Err())
}

// takeAll hands over the results in order.
func takeAll[R any](ctx context.Context, queue <-chan chan R, take func(R) error) error {
	for out := range queue {
		select {
		case r := <-out:
			if err := take(r); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
