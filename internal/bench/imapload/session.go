package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const (
	readBytes  = 256 << 10
	answerWait = 15 * time.Minute
)

// session is one IMAP connection. It takes answers as bytes, for what a client makes of them is not what is measured.
type session struct {
	conn net.Conn
	tags int
	buf  []byte
	kept []byte // the end of the answer, up to tailBytes
}

// tailBytes is as much of an answer's end as is looked at.
const tailBytes = 512

func dial(addr string) (*session, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, buf: make([]byte, readBytes)}
	if _, err := s.read(func(tail []byte) bool { return bytes.HasSuffix(tail, []byte("\r\n")) }); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s says no greeting: %w", addr, err)
	}
	return s, nil
}

func login(addr, user, password string) (*session, error) {
	s, err := dial(addr)
	if err != nil {
		return nil, err
	}
	if _, err := s.do(fmt.Sprintf("LOGIN %q %q", user, password)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() { _ = s.conn.Close() } // nothing is under way

// do gives a command and reads its answer to the tagged line, which must be OK; it counts the answer's bytes.
func (s *session) do(command string) (size int64, err error) {
	tag := s.tag()
	if err := s.write(tag + " " + command + "\r\n"); err != nil {
		return 0, err
	}
	return s.answer(tag, command)
}

func (s *session) tag() string {
	s.tags++
	return "q7x" + strconv.Itoa(s.tags) // no message has a line that begins so
}

func (s *session) write(text string) error {
	if err := s.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return err
	}
	_, err := io.WriteString(s.conn, text)
	return err
}

func (s *session) answer(tag, command string) (size int64, err error) {
	var last []byte
	size, err = s.read(func(tail []byte) bool {
		line, ended := bytes.CutSuffix(tail, []byte("\r\n"))
		last = line[bytes.LastIndexByte(line, '\n')+1:]
		return ended && bytes.HasPrefix(last, []byte(tag+" "))
	})
	if err != nil {
		return size, fmt.Errorf("%s: %w", command, err)
	}
	if !bytes.HasPrefix(last, []byte(tag+" OK")) {
		return size, fmt.Errorf("%s: the server answers %s", command, last)
	}
	return size, nil
}

// read reads until the end of what was read is what is waited for.
func (s *session) read(ended func(tail []byte) bool) (size int64, err error) {
	s.kept = s.kept[:0]
	for {
		n, err := s.conn.Read(s.buf)
		if err != nil {
			return size, err
		}
		size += int64(n)
		s.kept = append(s.kept, s.buf[max(0, n-tailBytes):n]...)
		s.kept = s.kept[max(0, len(s.kept)-tailBytes):]
		if ended(s.kept) {
			return size, nil
		}
	}
}

// ask gives a command and returns the end of its answer.
func (s *session) ask(command string) (string, error) {
	_, err := s.do(command)
	return string(s.kept), err
}
