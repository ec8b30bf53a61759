package report

// Row is something that is measured.
type Row struct {
	Key   string
	Title string
	Unit  string
	Lower bool // is better
	// Tolerance is how far a ratio may fall below the recorded one before that counts as a regression, as a share of it. Zero: the row has no ratios.
	Tolerance float64
}

// Group is rows that are shown together.
type Group struct {
	Title string
	About string // what is measured, for whoever doubts a figure
	Rows  []Row
}

// How far ratios may fall. They are of one run on one machine, so its speed is not in them; that it is busy with something else is.
const (
	ofRates = 0.25
	ofTimes = 0.50 // the ends of distributions, and what takes less than a millisecond, vary more
)

// Groups are all rows, in order.
func Groups() []Group {
	return []Group{
		{"Delivery over LMTP", "Messages to all accounts in turn. Each connection sends its next message when the last one is answered; MAIL, RCPT and DATA are sent at once " +
			"where the server allows it. What was answered in time is counted.", []Row{
			{"delivery.1", "1 connection", "messages/s", false, ofRates},
			{"delivery.4", "4 connections", "messages/s", false, ofRates},
			{"delivery.16", "16 connections", "messages/s", false, ofRates},
		}},
		{"Acknowledgement", "From the MAIL command to the answer to the message's content.", []Row{
			{"ack.1.p50", "1 connection, p50", "ms", true, ofTimes},
			{"ack.1.p99", "1 connection, p99", "ms", true, ofTimes},
			{"ack.16.p50", "16 connections, p50", "ms", true, ofTimes},
			{"ack.16.p99", "16 connections, p99", "ms", true, ofTimes},
		}},
		{"On the replica after the acknowledgement", "Four accounts are delivered to, one message at a time each, and watched on the replica from the acknowledgement on. The others: by an IMAP session on the " +
			"replica that asks with NOOP. Mailreplica, where such a session is passed on to the home: by asking the replica's mailstore how many messages its database has committed. " +
			"A look takes some tenths of a millisecond. Under load, 8 other connections deliver to the other accounts. " +
			"The last row is of after the delivery over 16 connections: from its last acknowledgement until the replica had everything.", []Row{
			{"visible.quiet.p50", "quiet, p50", "ms", true, ofTimes},
			{"visible.quiet.p99", "quiet, p99", "ms", true, ofTimes},
			{"visible.load.p50", "under load, p50", "ms", true, ofTimes},
			{"visible.load.p99", "under load, p99", "ms", true, ofTimes},
			{"backlog", "backlog of the delivery", "s", true, 0},
		}},
		{"IMAP, one connection", "One change a command, each answered before the next, in a folder of its own.", imapRows("1")},
		{"IMAP, 16 connections", "The same, each connection in an account of its own.", imapRows("16")},
		{"First copy, promotion", "An account without a replica is filled, and then given one: until that is complete. Dovecot: `doveadm sync`; Cyrus: `sync_client -u`, with the rolling client stopped. " +
			"Promotion: from the command until the operation tells that the replica's mailstore is the primary, one account, source alive.", []Row{
			{"copy", "first copy", "messages/s", false, ofRates},
			{"promotion", "promotion of an account", "ms", true, 0},
		}},
		{"Cost of a delivered message", "Over the delivery on 16 connections and until the replica has everything: processor time of all server processes, source, replica and engines; what both sides allocate on disk; " +
			"what all copies of the event log take.", []Row{
			{"cpu", "processor time", "ms", true, ofRates},
			{"disk", "on disk", "KiB", true, ofRates},
			{"log", "on the event log", "KiB", true, 0},
		}},
	}
}

func imapRows(connections string) []Row {
	return []Row{
		{"append." + connections, "APPEND", "/s", false, ofRates},
		{"flag." + connections, "flag change", "/s", false, ofRates},
		{"move." + connections, "MOVE", "/s", false, ofRates},
		{"expunge." + connections, "EXPUNGE", "/s", false, ofRates},
	}
}

// Ours are this project's replicated systems, which ratios are of; the others are what they are compared with.
var (
	ours   = []string{"replicated", "production"}
	others = []string{"unreplicated", "dovecot", "cyrus-rolling", "cyrus-sync"}
)

// Ratio compares two systems. Above 1, the first one is better.
type Ratio struct {
	Row   string  `json:"row"`
	Of    string  `json:"of"`
	To    string  `json:"to"`
	Value float64 `json:"value"`
}

// Compare makes the ratios of all rows that were measured of both systems.
func (r *Record) Compare() (all []Ratio) {
	for _, group := range Groups() {
		for _, row := range group.Rows {
			if row.Tolerance == 0 {
				continue
			}
			for _, of := range ours {
				for _, to := range others {
					if value, ok := r.ratio(row, of, to); ok {
						all = append(all, Ratio{row.Key, of, to, value})
					}
				}
			}
		}
	}
	return all
}

func (r *Record) ratio(row Row, of, to string) (float64, bool) {
	a, okA := r.median(row.Key, of)
	b, okB := r.median(row.Key, to)
	if row.Lower {
		a, b = b, a
	}
	if !okA || !okB || b == 0 {
		return 0, false
	}
	return a / b, true
}

func (r *Record) median(row, system string) (float64, bool) {
	s := r.system(system)
	if s == nil {
		return 0, false
	}
	summary, ok := Summarise(s.Figures[row])
	return summary.Median, ok
}
