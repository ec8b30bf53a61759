package wire_test

import (
	"strings"
	"testing"

	"mailreplica/internal/imap/wire"
)

func TestFetch(t *testing.T) {
	grammar{
		{`FETCH 1 FLAGS`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[FLAGS]}`},
		{`FETCH 3:1,* (UID FLAGS uid)`, `FETCH Fetch{Set:SequenceSet{Nums:3:1,*} Items:[UID FLAGS UID]}`},
		{`FETCH 1 fast`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[FLAGS INTERNALDATE RFC822.SIZE]}`},
		{`FETCH 1 ALL`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[FLAGS INTERNALDATE RFC822.SIZE ENVELOPE]}`},
		{`FETCH 1 FULL`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY]}`},
		{`FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT BODYSTRUCTURE MODSEQ)`,
			`FETCH Fetch{Set:SequenceSet{Nums:1} Items:[RFC822 RFC822.HEADER RFC822.TEXT BODYSTRUCTURE MODSEQ]}`},
		{`FETCH 1 BODY[]`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[]]}`},
		{`FETCH 1 BODY.PEEK[]<0.100>`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[]<0>.100 peek]}`},
		{`FETCH 1 (BODY[HEADER] body[1.2.mime] BODY[3.text] BODY[3])`,
			`FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[HEADER] BODY[1.2.MIME] BODY[3.TEXT] BODY[3]]}`},
		{`FETCH 1 BODY.PEEK[header.fields (From "x y")]`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[HEADER.FIELDS (From "x y")] peek]}`},
		{`FETCH 1 BODY[1.HEADER.FIELDS.NOT (to nil)]<5.1>`,
			`FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[1.HEADER.FIELDS.NOT (to "nil")]<5>.1]}`},
		{`FETCH 1 (BINARY[] BINARY.PEEK[1.2]<1.2> BINARY.SIZE[3])`,
			`FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BINARY[] BINARY[1.2]<1>.2 peek BINARY.SIZE[3] peek]}`},
		{`FETCH 1 FLAGS (CHANGEDSINCE 12)`, `FETCH Fetch{Set:SequenceSet{Nums:1} Items:[FLAGS] ChangedSince:12 HasChangedSince:true}`},
		{`UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12 VANISHED)`,
			`UID FETCH Fetch{UID:true Set:SequenceSet{Nums:1:*} Items:[FLAGS] ChangedSince:12 HasChangedSince:true Vanished:true}`},
		{`UID FETCH $ FLAGS`, `UID FETCH Fetch{UID:true Set:SequenceSet{Saved:true} Items:[FLAGS]}`},
		{`FETCH 1 FLAGS (CHANGEDSINCE 12 VANISHED)`, bad},
		{`UID FETCH 1 FLAGS (VANISHED)`, bad},
		{`FETCH 1 FLAGS (CHANGEDSINCE)`, bad},
		{`FETCH 1 ()`, bad},
		{`FETCH 1`, bad},
		{`FETCH 1 (FLAGS`, bad},
		{`FETCH 1 FLAGS UID`, bad},
		{`FETCH 1 (ALL)`, bad},
		{`FETCH 1 BODY[1.]`, bad},
		{`FETCH 1 BODY[0]`, bad},
		{`FETCH 1 BODY[MIME]`, bad},
		{`FETCH 1 BODY[FOO]`, bad},
		{`FETCH 1 BODY[1TEXT]`, bad},
		{`FETCH 1 BODY[HEADER.FIELDS]`, bad},
		{`FETCH 1 BODY[HEADER.FIELDS ()]`, bad},
		{`FETCH 1 BODY[]<0.0>`, bad},
		{`FETCH 1 BODY[]<0>`, bad},
		{`FETCH 1 BODY[`, bad},
		{`FETCH 1 BODY.PEEK`, bad},
		{`FETCH 1 BINARY`, bad},
		{`FETCH 1 BINARY[1.TEXT]`, bad},
		{`FETCH 1 BINARY.SIZE[1]<0.1>`, bad},
		{`FETCH 1 ENVELOPE[]`, bad},
		{`FETCH x FLAGS`, bad},
		{`FETCH 1 (` + strings.Repeat("UID ", 513) + `)`, bad},
	}.check(t)
}

// A literal may stand inside an item.
func TestFetchHeaderFieldAsLiteral(t *testing.T) {
	check(t, transcript(wire.DefaultLimits(), "a FETCH 1 BODY[HEADER.FIELDS ({4+}\r\nFrom {2+}\r\nTo)]\r\n"),
		[]string{`a FETCH Fetch{Set:SequenceSet{Nums:1} Items:[BODY[HEADER.FIELDS (From To)]]}`, "left"})
}

func TestSearch(t *testing.T) {
	grammar{
		{`SEARCH ALL`, `SEARCH Search{Key:AllKey{}}`},
		{`SEARCH seen UNSEEN`, `SEARCH Search{Key:[FlagKey{Flag:"\\Seen"} NotKey{Key:FlagKey{Flag:"\\Seen"}}]}`},
		{`SEARCH NEW OLD`,
			`SEARCH Search{Key:[[FlagKey{Flag:"\\Recent"} NotKey{Key:FlagKey{Flag:"\\Seen"}}] NotKey{Key:FlagKey{Flag:"\\Recent"}}]}`},
		{`SEARCH 1:3,5`, `SEARCH Search{Key:SetKey{Set:SequenceSet{Nums:1:3,5}}}`},
		{`SEARCH *:3 uid 7:*`, `SEARCH Search{Key:[SetKey{Set:SequenceSet{Nums:*:3}} SetKey{UID:true Set:SequenceSet{Nums:7:*}}]}`},
		{`UID SEARCH UID $`, `UID SEARCH Search{UID:true Key:SetKey{UID:true Set:SequenceSet{Saved:true}}}`},
		{`SEARCH RETURN () $`, `SEARCH Search{Return:SearchReturn{All:true} Key:SetKey{Set:SequenceSet{Saved:true}}}`},
		{`SEARCH RETURN (MIN MAX ALL COUNT SAVE) CHARSET utf-8 TEXT "ä"`,
			`SEARCH Search{Return:SearchReturn{Min:true Max:true All:true Count:true Save:true} Charset:"UTF-8" Key:TextKey{Value:"ä"}}`},
		{`SEARCH CHARSET "UTF-8" ALL`, `SEARCH Search{Charset:"UTF-8" Key:AllKey{}}`},
		{`SEARCH (3) uid 4`, `SEARCH Search{Key:[SetKey{Set:SequenceSet{Nums:3}} SetKey{UID:true Set:SequenceSet{Nums:4}}]}`},
		{`SEARCH ( seen  ( NOT deleted ) )`, `SEARCH Search{Key:[FlagKey{Flag:"\\Seen"} NotKey{Key:FlagKey{Flag:"\\Deleted"}}]}`},
		{`SEARCH OR 1 OR 2 3`,
			`SEARCH Search{Key:OrKey{Left:SetKey{Set:SequenceSet{Nums:1}} ` +
				`Right:OrKey{Left:SetKey{Set:SequenceSet{Nums:2}} Right:SetKey{Set:SequenceSet{Nums:3}}}}}`},
		{`SEARCH FROM a SUBJECT NIL HEADER x-y ""`,
			`SEARCH Search{Key:[HeaderKey{Field:"From" Value:"a"} HeaderKey{Field:"Subject" Value:"NIL"} HeaderKey{Field:"x-y"}]}`},
		{`SEARCH BODY a TEXT b`, `SEARCH Search{Key:[TextKey{BodyOnly:true Value:"a"} TextKey{Value:"b"}]}`},
		{`SEARCH LARGER 5 SMALLER 6`, `SEARCH Search{Key:[SizeKey{Larger:true Size:5} SizeKey{Size:6}]}`},
		{`SEARCH OLDER 5 YOUNGER 6`, `SEARCH Search{Key:[AgeKey{Older:true Seconds:5} AgeKey{Seconds:6}]}`},
		{`SEARCH KEYWORD a UNKEYWORD b`, `SEARCH Search{Key:[FlagKey{Flag:"a"} NotKey{Key:FlagKey{Flag:"b"}}]}`},
		{`SEARCH BEFORE 1-Feb-1994 ON "01-feb-1994" SINCE 31-DEC-2020`,
			`SEARCH Search{Key:[DateKey{Op:1 Date:1994-02-01} DateKey{Op:2 Date:1994-02-01} DateKey{Op:3 Date:2020-12-31}]}`},
		{`SEARCH SENTBEFORE 1-Feb-1994 SENTON 1-Feb-1994 SENTSINCE 1-Feb-1994`,
			`SEARCH Search{Key:[DateKey{Sent:true Op:1 Date:1994-02-01} ` +
				`DateKey{Sent:true Op:2 Date:1994-02-01} DateKey{Sent:true Op:3 Date:1994-02-01}]}`},
		{`SEARCH MODSEQ 620162338`, `SEARCH Search{Key:ModSeqKey{ModSeq:620162338} ModSeq:true}`},
		{`SEARCH MODSEQ "/flags/\\draft" all 5`, `SEARCH Search{Key:ModSeqKey{ModSeq:5} ModSeq:true}`},
		{`SEARCH`, bad},
		{`SEARCH FOO`, bad},
		{`SEARCH RETURN (FOO) ALL`, bad},
		{`SEARCH RETURN (ALL)`, bad},
		{`SEARCH RETURN ALL ALL`, bad},
		{`SEARCH CHARSET UTF-8`, bad},
		{`SEARCH ()`, bad},
		{`SEARCH (ALL`, bad},
		{`SEARCH ALL)`, bad},
		{`SEARCH NOT`, bad},
		{`SEARCH OR 1`, bad},
		{`SEARCH FROM`, bad},
		{`SEARCH BEFORE 30-Feb-1994`, bad},
		{`SEARCH BEFORE 1-1-1994`, bad},
		{`SEARCH BEFORE 1994-02-01`, bad},
		{`SEARCH LARGER -1`, bad},
		{`SEARCH MODSEQ "/flags/\\draft" 5`, bad},
		{`SEARCH KEYWORD \Seen`, bad},
		{`SEARCH UID 0`, bad},
		{`SEARCH ` + strings.Repeat("NOT ", 1001) + `ALL`, bad},
		{`SEARCH ` + strings.Repeat("OR TEXT a BODY b ", 51) + `ALL`, bad},
		{`SEARCH ` + strings.Repeat("(", 1001) + `ALL` + strings.Repeat(")", 1001), bad},
	}.check(t)
}
