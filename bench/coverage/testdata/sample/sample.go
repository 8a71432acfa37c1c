// Package sample has error branches, each marked on the line where its body begins.
package sample

import (
	"errors"
	"fmt"
	"io"
)

var ErrSample = errors.New("sample")

type problem struct{ reason string }

func (p *problem) Error() string { return p.reason }

func damaged(reason string) error { return &problem{reason} }

func wrapped(reason string) error { return fmt.Errorf("sample: %w", damaged(reason)) }

func first(n int) (int, error) {
	if n < 0 { // branch
		return 0, damaged("negative")
	}
	if n == 0 {
		return 0, nil
	}
	_, err := second(n)
	if err != nil { // branch
		return 0, err
	}
	if _, err := second(n + 1); err == io.EOF { // branch
		return 1, nil
	}
	if err == nil {
		n++
	} else { // branch
		n--
	}
	if err == nil && n > 3 {
		return second(n)
	}
	for _, f := range []func() error{func() error { return nil }} {
		if err := f(); err != nil { // panic
			panic(err)
		}
	}
	return n, err
}

func second(n int) (int, error) {
	switch {
	case n == 1: // branch
		return 0, ErrSample
	case n == 2: // branch
		return 0, wrapped("two")
	case n == 3:
		return first(4)
	}
	_, err := first(n - 1)
	switch {
	case errors.Is(err, ErrSample): // branch
	case err != nil: // branch
		return 0, err
	case err == nil:
		n++
	}
	var p *problem
	if !errors.As(err, &p) || n > 7 { // branch
		return 0, nil
	}
	select {
	default: // branch
		return 0, errors.New("late")
	}
}
