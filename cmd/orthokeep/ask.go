package main

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Questions go to the terminal itself, so that neither a question nor an answer is ever in a pipe. Nothing is asked unless
// standard input is a terminal: a script never waits for an answer.

const maxPassphrase = 1024 // bytes

// passphrase returns the passphrase of the recovery key: from --passphrase-file, else by asking.
func (p *program) passphrase(ctx context.Context) (string, error) {
	if p.passphraseFile != "" {
		return readPassphrase(p.passphraseFile)
	}
	tty, err := p.terminal("--passphrase-file")
	if err != nil {
		return "", err
	}
	defer tty.Close()
	return askHidden(ctx, tty, "Passphrase of the recovery key: ")
}

// newPassphrase is passphrase for a repository to be made: it asks twice.
func (p *program) newPassphrase(ctx context.Context) (string, error) {
	if p.passphraseFile != "" {
		return readPassphrase(p.passphraseFile)
	}
	tty, err := p.terminal("--passphrase-file")
	if err != nil {
		return "", err
	}
	defer tty.Close()
	first, err := askHidden(ctx, tty, "New passphrase for the recovery key: ")
	if err != nil {
		return "", err
	}
	second, err := askHidden(ctx, tty, "The same again: ")
	if err != nil {
		return "", err
	}
	if subtle.ConstantTimeCompare([]byte(first), []byte(second)) != 1 {
		return "", errors.New("the two passphrases differ")
	}
	return first, nil
}

// confirm asks a question that only "yes" answers. flag is what answers it without a terminal.
func (p *program) confirm(ctx context.Context, question, flag string) (bool, error) {
	tty, err := p.terminal(flag)
	if err != nil {
		return false, err
	}
	defer tty.Close()
	answer, err := ask(ctx, tty, question+" [yes/no] ", readLine)
	return strings.EqualFold(strings.TrimSpace(answer), "yes"), err
}

// terminal opens the terminal to ask on. Without one it is a usage error that names the flag.
func (p *program) terminal(flag string) (*os.File, error) {
	in, ok := p.stdin.(*os.File)
	if ok && term.IsTerminal(int(in.Fd())) {
		if tty, err := os.OpenFile(terminalPath, os.O_RDWR, 0); err == nil {
			return tty, nil
		}
	}
	return nil, usageError("there is no terminal to ask on: give %s", flag)
}

// readPassphrase returns the first line of a file.
func readPassphrase(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usageError("read passphrase: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase+2))
	if err != nil {
		return "", usageError("read passphrase: %v", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", usageError("the passphrase in %s is empty", path)
	case len(line) > maxPassphrase:
		return "", usageError("the passphrase in %s is longer than %d bytes", path, maxPassphrase)
	}
	return line, nil
}

func askHidden(ctx context.Context, tty *os.File, question string) (string, error) {
	answer, err := ask(ctx, tty, question, func(tty *os.File) (string, error) {
		line, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		return string(line), err
	})
	if err == nil && answer == "" {
		err = errors.New("the passphrase is empty")
	}
	return answer, err
}

func readLine(tty *os.File) (string, error) {
	return bufio.NewReader(io.LimitReader(tty, 1024)).ReadString('\n')
}

// ask puts a question and reads the answer. When ctx ends first, the terminal is put back as it was; the goroutine that
// reads then waits for a line that nobody types until the program ends, which it does at once.
func ask(ctx context.Context, tty *os.File, question string, read func(*os.File) (string, error)) (string, error) {
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", fmt.Errorf("look at the terminal: %w", err)
	}
	if _, err := io.WriteString(tty, question); err != nil {
		return "", fmt.Errorf("write to the terminal: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read(tty)
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return "", fmt.Errorf("read from the terminal: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(int(tty.Fd()), before))
	}
}
