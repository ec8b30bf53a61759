package imap

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

const pipeBufferBytes = 4 << 10

// pipe passes bytes both ways until either side ends. What the client has sent ahead of the login's answer goes first. A
// home that breaks off is told to the client with BYE, but only between responses: inside a literal it would be taken for
// a message.
func (s *session) pipe(home net.Conn) {
	s.link.stall = s.server.config.IdleTimeout + time.Minute // the home's own limit comes first
	done := make(chan struct{})
	var clientEnded atomic.Bool
	go func() {
		defer close(done)
		client := io.MultiReader(io.LimitReader(s.in.Raw(), int64(s.in.Buffered())), s.link)
		_, err := io.CopyBuffer(homeWriter{home}, onlyReader{client}, make([]byte, pipeBufferBytes))
		clientEnded.Store(err == nil)
		if err != nil || !closeWrite(home) {
			_ = home.Close() // the client is gone, or the home does not take what it says
		}
	}()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.ended:
			_ = home.SetReadDeadline(time.Unix(1, 0)) // wakes fromHome
		case <-stop:
		}
	}()
	var frames framer
	homeEnded := s.fromHome(home, &frames)
	if homeEnded && !frames.within && !frames.bye && !clientEnded.Load() {
		if reason := s.endReason(); reason != nil {
			s.bye(reason)
		} else {
			s.out.Bye("UNAVAILABLE", "The mailbox's server does not answer, connect again")
			_ = s.out.Flush() // the connection is closed next
		}
	}
	_ = home.Close()
	s.link.close()
	<-done
}

// closeWrite passes on that the client says no more; what the home still has to answer is waited for. It reports false where
// the connection cannot be closed in one direction.
func closeWrite(home net.Conn) bool {
	half, ok := home.(interface{ CloseWrite() error })
	return ok && home.SetReadDeadline(time.Now().Add(writeTimeout)) == nil && half.CloseWrite() == nil
}

// fromHome copies the home's responses, and reports whether it ended for a reason other than the client's.
func (s *session) fromHome(home net.Conn, frames *framer) bool {
	buf := make([]byte, pipeBufferBytes)
	for {
		n, err := home.Read(buf)
		frames.see(buf[:n])
		if n > 0 {
			if _, writeErr := s.link.Write(buf[:n]); writeErr != nil {
				return false
			}
		}
		if err != nil {
			return true
		}
	}
}

// homeWriter bounds how long a home that has stopped holds up a session whose client may be gone.
type homeWriter struct{ home net.Conn }

func (w homeWriter) Write(p []byte) (int, error) {
	if err := w.home.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return w.home.Write(p)
}

// onlyReader keeps io.CopyBuffer from finding a way around its buffer.
type onlyReader struct{ io.Reader }

// framer follows a server's responses as far as to know whether it is between two of them.
type framer struct {
	literal int64  // bytes of a literal still to come
	line    []byte // the end of the current line, and its beginning up to some bytes
	within  bool   // inside a response
	bye     bool   // BYE was said
}

const framerLineBytes = 32 // a literal's header is not longer

func (f *framer) see(b []byte) {
	for len(b) > 0 {
		if f.literal > 0 {
			n := min(f.literal, int64(len(b)))
			f.literal -= n
			b = b[n:]
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		chunk := b
		if end > 0 {
			chunk = b[:end]
		}
		b = b[len(chunk):]
		if !f.within && bytes.HasPrefix(chunk, []byte("* BYE")) {
			f.bye = true
		}
		f.within = true
		f.line = append(f.line, chunk[max(0, len(chunk)-framerLineBytes):]...)
		f.line = f.line[max(0, len(f.line)-framerLineBytes):]
		if end == 0 {
			continue
		}
		f.literal = literalSize(f.line)
		f.within = f.literal >= 0
		f.literal = max(f.literal, 0)
		f.line = f.line[:0]
	}
}

// literalSize is the size of the literal that a line announces at its end, -1 if it does not.
func literalSize(line []byte) int64 {
	line = bytes.TrimRight(line, "\r\n")
	body, ok := bytes.CutSuffix(line, []byte("}"))
	if !ok {
		return -1
	}
	size, err := strconv.ParseInt(string(body[bytes.LastIndexByte(body, '{')+1:]), 10, 64)
	if err != nil || size < 0 || !bytes.Contains(body, []byte("{")) {
		return -1
	}
	return size
}
