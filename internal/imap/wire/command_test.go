package wire_test

import (
	"strings"
	"testing"

	"mailreplica/internal/imap/wire"
)

// grammar is input, each read as one command, and what the server saw.
type grammar []struct{ in, want string }

func (g grammar) check(t *testing.T) {
	t.Helper()
	for _, test := range g {
		checkCommand(t, test.in, test.want)
	}
}

func TestSessionCommands(t *testing.T) {
	grammar{
		{`noop`, `NOOP`},
		{`CAPABILITY  `, `CAPABILITY`},
		{`Logout`, `LOGOUT`},
		{`NOOP x`, bad},
		{`STARTTLS`, `STARTTLS`},
		{`IDLE`, `IDLE`},
		{`CLOSE`, `CLOSE`},
		{`UNSELECT`, `UNSELECT`},
		{`CHECK`, `CHECK`},
		{`NAMESPACE`, `NAMESPACE`},
		{`EXPUNGE`, `EXPUNGE Expunge{}`},
		{`EXPUNGE 1`, bad},
		{`FROBNICATE`, bad},
		{`NOOP(`, bad},
		{`UID`, bad},
		{`UID NOOP`, bad},
		{``, bad},
	}.check(t)
}

func TestAuthentication(t *testing.T) {
	grammar{
		{`AUTHENTICATE plain`, `AUTHENTICATE Authenticate{Mechanism:"PLAIN"}`},
		{`AUTHENTICATE PLAIN =`, `AUTHENTICATE Authenticate{Mechanism:"PLAIN" Initial:"" HasInitial:true}`},
		{`AUTHENTICATE PLAIN AGEAYg==`, `AUTHENTICATE Authenticate{Mechanism:"PLAIN" Initial:"\x00a\x00b" HasInitial:true}`},
		{`AUTHENTICATE PLAIN A`, bad},
		{`AUTHENTICATE`, bad},
		{`LOGIN a b`, `LOGIN Login{User:"a" Password:"b"}`},
		{`LOGIN  "a b"  "c\"\\d" `, `LOGIN Login{User:"a b" Password:"c\"\\d"}`},
		{`LOGIN a]@b ~x}`, `LOGIN Login{User:"a]@b" Password:"~x}"}`},
		{`LOGIN NIL ""`, `LOGIN Login{User:"NIL"}`},
		{`LOGIN "ä" b`, `LOGIN Login{User:"ä" Password:"b"}`},
		{`LOGIN ä b`, bad},
		{`LOGIN a`, bad},
		{`LOGIN a b c`, bad},
		{`LOGIN "a b`, bad},
		{`LOGIN "a\x" b`, bad},
		{`LOGIN "a"b c`, bad},
		{"LOGIN \"a\rb\" c", bad},
		{"LOGIN a\x00 c", bad},
		{"LOGIN a\x01 c", bad},
		{`LOGIN a* b`, bad},
		{`LOGIN (a) b`, bad},
		{`LOGIN {x} b`, bad},
		{`LOGIN {} b`, bad},
		{`ID NIL`, `ID ID{}`},
		{`ID ()`, `ID ID{}`},
		{`ID ("name" "x" "os" NIL)`, `ID ID{Fields:[IDField{Name:"name" Value:"x"} IDField{Name:"os"}]}`},
		{`ID ("name")`, bad},
		{`ID (name x)`, bad},
		{`ID ` + `(` + strings.Repeat(`"a" "b" `, 31) + `)`, bad},
		{`ENABLE condstore QRESYNC`, `ENABLE Enable{Capabilities:["CONDSTORE" "QRESYNC"]}`},
		{`ENABLE`, bad},
	}.check(t)
}

func TestSelect(t *testing.T) {
	grammar{
		{`SELECT inbox`, `SELECT Select{Mailbox:"INBOX"}`},
		{`EXAMINE "a b"`, `EXAMINE Select{Mailbox:"a b" ReadOnly:true}`},
		{`SELECT x (CONDSTORE)`, `SELECT Select{Mailbox:"x" CondStore:true}`},
		{`SELECT x (QRESYNC (7 90))`, `SELECT Select{Mailbox:"x" QResync:QResync{UIDValidity:7 ModSeq:90}}`},
		{`SELECT x (QRESYNC (7 90 41,43:211))`, `SELECT Select{Mailbox:"x" QResync:QResync{UIDValidity:7 ModSeq:90 Known:41,43:211}}`},
		{`SELECT x (CONDSTORE QRESYNC (7 90 1:9 (1,5 3,9)))`,
			`SELECT Select{Mailbox:"x" CondStore:true QResync:QResync{UIDValidity:7 ModSeq:90 Known:1:9 MatchSeqs:1,5 MatchUIDs:3,9}}`},
		{`SELECT x (QRESYNC (7 90 (1,5 3,9)))`,
			`SELECT Select{Mailbox:"x" QResync:QResync{UIDValidity:7 ModSeq:90 MatchSeqs:1,5 MatchUIDs:3,9}}`},
		{`SELECT x (QRESYNC (7 90 1:*))`, bad},
		{`SELECT x (QRESYNC (0 90))`, bad},
		{`SELECT x (QRESYNC (7 9223372036854775808))`, bad},
		{`SELECT x (QRESYNC 7 90)`, bad},
		{`SELECT x (QRESYNC (7 90)`, bad},
		{`SELECT x (FOO)`, bad},
		{`SELECT`, bad},
		{`SELECT x y`, bad},
		{`SELECT !#$&'+,-.0123456789:;<=>?@^_` + "`" + `|[}`, `SELECT Select{Mailbox:"!#$&'+,-.0123456789:;<=>?@^_` + "`" + `|[}"}`},
	}.check(t)
}

func TestMailboxCommands(t *testing.T) {
	grammar{
		{`CREATE a/b/`, `CREATE Create{Mailbox:"a/b/"}`},
		{`CREATE a (USE (\drafts \Sent))`, `CREATE Create{Mailbox:"a" SpecialUse:["\\Drafts" "\\Sent"]}`},
		{`CREATE a (USE (Drafts))`, bad},
		{`CREATE a (FOO (\Drafts))`, bad},
		{`CREATE p&AOQA5A-`, `CREATE Create{Mailbox:"pää"}`},
		{`DELETE inBox/x`, `DELETE Delete{Mailbox:"INBOX/x"}`},
		{`RENAME a b`, `RENAME Rename{From:"a" To:"b"}`},
		{`RENAME a`, bad},
		{`SUBSCRIBE a`, `SUBSCRIBE Subscribe{Mailbox:"a"}`},
		{`UNSUBSCRIBE a`, `UNSUBSCRIBE Unsubscribe{Mailbox:"a"}`},
		{`LSUB "" *`, `LSUB LSub{Pattern:"*"}`},
	}.check(t)
}

func TestList(t *testing.T) {
	grammar{
		{`LIST "" ""`, `LIST List{Patterns:[""]}`},
		{`LIST "" ~foo`, `LIST List{Patterns:["~foo"]}`},
		{`LIST "" NIL`, `LIST List{Patterns:["NIL"]}`},
		{`LIST inbox/ %]*`, `LIST List{Reference:"INBOX/" Patterns:["%]*"]}`},
		{`LIST "" p&AOQA5A-%`, `LIST List{Patterns:["pää%"]}`},
		{`LIST () "" *`, `LIST List{Patterns:["*"] Extended:true}`},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" ("a" b%)`,
			`LIST List{Select:ListSelect{Subscribed:true RecursiveMatch:true} Patterns:["a" "b%"] Extended:true}`},
		{`LIST (SPECIAL-USE) "" * RETURN (SPECIAL-USE)`,
			`LIST List{Select:ListSelect{SpecialUse:true} Patterns:["*"] Return:ListReturn{SpecialUse:true} Extended:true}`},
		{`LIST "" % RETURN (STATUS (MESSAGES UNSEEN) CHILDREN SUBSCRIBED)`,
			`LIST List{Patterns:["%"] Return:ListReturn{Subscribed:true Children:true Status:["MESSAGES" "UNSEEN"]} Extended:true}`},
		{`LIST (remote) "" %`, `LIST List{Select:ListSelect{Remote:true} Patterns:["%"] Extended:true}`},
		{`LIST (imaptest) "" ""`, bad},
		{`LIST (recursivematch) "" ""`, bad},
		{`LIST (recursivematch remote) "" ""`, bad},
		{`LIST "" "" return (imaptest)`, bad},
		{`LIST "" ()`, bad},
		{`LIST "" ` + strings.Repeat("x", 4097), bad},
		{`LIST "" (` + strings.Repeat("x ", 65) + `)`, bad},
		{`LIST ` + strings.Repeat("x", 4096) + ` x`, bad},
		{`LIST "" (` + strings.Repeat(strings.Repeat("x", 2000)+" ", 3) + `)`, bad},
		{`LIST ` + strings.Repeat("x", 2000) + ` (x y z)`, bad},
		{`LSUB ` + strings.Repeat("x", 4096) + ` x`, bad},
		{`LIST ""`, bad},
		{`LIST "" * FOO`, bad},

		{`STATUS a (MESSAGES recent UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ APPENDLIMIT SIZE)`,
			`STATUS Status{Mailbox:"a" Items:["MESSAGES" "RECENT" "UIDNEXT" "UIDVALIDITY" "UNSEEN" "DELETED" ` +
				`"SIZE" "HIGHESTMODSEQ" "APPENDLIMIT"]}`},
		{`STATUS a ()`, bad},
		{`STATUS a (FOO)`, bad},
		{`STATUS a MESSAGES`, bad},
	}.check(t)
}

func TestStoreCopyMove(t *testing.T) {
	grammar{
		{`STORE 1 FLAGS (\seen $Junk)`, `STORE Store{Set:SequenceSet{Nums:1} Op:1 Flags:["\\Seen" "$Junk"]}`},
		{`UID STORE 1:* +flags.silent \Deleted`, `UID STORE Store{UID:true Set:SequenceSet{Nums:1:*} Op:2 Silent:true Flags:["\\Deleted"]}`},
		{`STORE $ (UNCHANGEDSINCE 5) -FLAGS a A b`,
			`STORE Store{Set:SequenceSet{Saved:true} UnchangedSince:5 HasUnchangedSince:true Op:3 Flags:["a" "b"]}`},
		{`STORE 1 +FLAGS NIL`, `STORE Store{Set:SequenceSet{Nums:1} Op:2 Flags:["NIL"]}`},
		{`STORE 1 FLAGS ()`, `STORE Store{Set:SequenceSet{Nums:1} Op:1 Flags:[]}`},
		{`STORE 1 FLAGS`, bad},
		{`STORE 1 FLAGS (\Recent)`, bad},
		{`STORE 1 FLAGS (\Foo)`, bad},
		{`STORE 1 FLAGS (a]b)`, bad},
		{`STORE 1 FLAGS "a"`, bad},
		{`STORE 1 FOO (a)`, bad},
		{`STORE 1 FLAGS (` + strings.Repeat("k", 256) + `)`, bad},
		{`STORE 0 FLAGS (a)`, bad},
		{`COPY 2:4 a`, `COPY Copy{Set:SequenceSet{Nums:2:4} Mailbox:"a"}`},
		{`UID COPY 4:2,9,10,11 a`, `UID COPY Copy{UID:true Set:SequenceSet{Nums:4:2,9:11} Mailbox:"a"}`},
		{`MOVE $ a`, `MOVE Move{Set:SequenceSet{Saved:true} Mailbox:"a"}`},
		{`UID MOVE 1 a`, `UID MOVE Move{UID:true Set:SequenceSet{Nums:1} Mailbox:"a"}`},
		{`UID EXPUNGE 3:5`, `UID EXPUNGE Expunge{UID:true Set:SequenceSet{Nums:3:5}}`},
		{`UID EXPUNGE`, bad},
		{`COPY 1,, a`, bad},
		{`COPY 4294967296 a`, bad},
		{`COPY 1:2:3 a`, bad},
		{`APPEND INBOX`, bad},
		{`APPEND INBOX "message"`, bad},
		{`APPEND INBOX (\Seen)`, bad},
	}.check(t)
}

// bad stands for a *SyntaxError with the command's tag.
const bad = "BAD"

func checkCommand(t *testing.T, in, want string) {
	t.Helper()
	got := transcript(wire.DefaultLimits(), "a1 "+in+"\r\n", "a2 NOOP\r\n")
	if len(got) != 3 || got[1] != "a2 NOOP" || got[2] != "left" {
		t.Errorf("%s: read as %q, want one command before the next", in, got)
		return
	}
	rest, tagged := strings.CutPrefix(got[0], "a1 ")
	if want == bad && strings.HasPrefix(rest, bad+" ") {
		rest = bad
	}
	if !tagged || rest != want {
		t.Errorf("%s\n got %s\nwant a1 %s", in, got[0], want)
	}
}

func TestTags(t *testing.T) {
	check(t, transcript(wire.DefaultLimits(),
		"\r\n"+" a NOOP\r\n"+"* NOOP\r\n"+"a+b NOOP\r\n"+"A.b]-1 NOOP\r\n"+"a\r\n"+"a \r\n"+"a NOOP\n"+"b NOOP\r\r\n"+"GET / HTTP/1.1\r\n"),
		[]string{
			" BAD Expected a tag", " BAD Expected a tag", " BAD Expected a tag", " BAD Expected a tag", "A.b]-1 NOOP",
			"a BAD Unknown command", "a BAD Unknown command", "a NOOP", "b BAD Unknown command", "GET BAD Unknown command", "left",
		})
}
