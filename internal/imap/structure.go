package imap

import (
	"strings"

	"mailreplica/internal/imap/wire"
	"mailreplica/internal/message"
)

// writeEnvelope writes ENVELOPE (RFC 3501 section 7.4.2).
func writeEnvelope(w *wire.Writer, e *message.Envelope) {
	w.Raw("(")
	writeField(w, e, message.FieldDate, e.Date)
	w.Raw(" ")
	writeField(w, e, message.FieldSubject, e.Subject)
	for _, list := range [][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		w.Raw(" ")
		writeAddresses(w, list)
	}
	w.Raw(" ")
	writeField(w, e, message.FieldInReplyTo, e.InReplyTo)
	w.Raw(" ")
	writeField(w, e, message.FieldMessageID, e.MessageID)
	w.Raw(")")
}

func writeField(w *wire.Writer, e *message.Envelope, field message.EnvelopeField, value string) {
	if value == "" && e.Empty&field == 0 {
		w.Raw("NIL")
		return
	}
	w.String(withoutNUL(value))
}

func writeAddresses(w *wire.Writer, list []message.Address) {
	if len(list) == 0 {
		w.Raw("NIL")
		return
	}
	w.Raw("(")
	for _, a := range list {
		w.Raw("(")
		writeOptional(w, a.Name)
		w.Raw(" ")
		writeOptional(w, a.Route)
		w.Raw(" ")
		if a.Group == message.GroupEnd {
			w.Raw("NIL")
		} else {
			w.String(withoutNUL(a.Mailbox))
		}
		w.Raw(" ")
		if a.Group != message.NoGroup {
			w.Raw("NIL")
		} else {
			w.String(withoutNUL(a.Host))
		}
		w.Raw(")")
	}
	w.Raw(")")
}

// writeOptional writes a string where an empty one means that there is none.
func writeOptional(w *wire.Writer, value string) {
	if value == "" {
		w.Raw("NIL")
		return
	}
	w.String(withoutNUL(value))
}

// withoutNUL drops what no string of IMAP can hold (RFC 3501 section 4.3).
func withoutNUL(value string) string {
	if strings.IndexByte(value, 0) < 0 {
		return value
	}
	return strings.ReplaceAll(value, "\x00", "")
}

// writeStructure writes BODY or, with its extensions, BODYSTRUCTURE (RFC 3501 section 7.4.2).
func writeStructure(w *wire.Writer, p *message.Part, extended bool) {
	w.Raw("(")
	if p.IsMultipart() {
		for i := range p.Children {
			writeStructure(w, &p.Children[i], extended)
		}
		w.Raw(" ")
		w.String(withoutNUL(p.Subtype))
		if extended {
			w.Raw(" ")
			writeParams(w, p.Params)
			writeExtension(w, p)
		}
		w.Raw(")")
		return
	}
	w.String(withoutNUL(p.Type))
	w.Raw(" ")
	w.String(withoutNUL(p.Subtype))
	w.Raw(" ")
	writeParams(w, p.Params)
	w.Raw(" ")
	writeOptional(w, p.ID)
	w.Raw(" ")
	writeOptional(w, p.Description)
	w.Raw(" ")
	w.String(withoutNUL(p.Encoding))
	w.Raw(" ")
	w.Number(uint64(p.BodySize))
	if p.Message != nil {
		w.Raw(" ")
		writeEnvelope(w, &p.Message.Envelope)
		w.Raw(" ")
		writeStructure(w, &p.Message.Root, extended)
	}
	if p.Message != nil || p.IsText() {
		w.Raw(" ")
		w.Number(uint64(p.Lines))
	}
	if extended {
		w.Raw(" ")
		writeOptional(w, p.MD5)
		writeExtension(w, p)
	}
	w.Raw(")")
}

// writeExtension writes the extension data that all parts have.
func writeExtension(w *wire.Writer, p *message.Part) {
	w.Raw(" ")
	if p.Disposition == "" {
		w.Raw("NIL")
	} else {
		w.Raw("(")
		w.String(withoutNUL(p.Disposition))
		w.Raw(" ")
		writeParams(w, p.DispositionParams)
		w.Raw(")")
	}
	w.Raw(" ")
	switch len(p.Language) {
	case 0:
		w.Raw("NIL")
	case 1:
		w.String(withoutNUL(p.Language[0]))
	default:
		w.Raw("(")
		for i, language := range p.Language {
			if i > 0 {
				w.Raw(" ")
			}
			w.String(withoutNUL(language))
		}
		w.Raw(")")
	}
	w.Raw(" ")
	writeOptional(w, p.Location)
}

func writeParams(w *wire.Writer, params []message.Param) {
	if len(params) == 0 {
		w.Raw("NIL")
		return
	}
	w.Raw("(")
	for i, p := range params {
		if i > 0 {
			w.Raw(" ")
		}
		w.String(withoutNUL(p.Name))
		w.Raw(" ")
		w.String(withoutNUL(p.Value))
	}
	w.Raw(")")
}
