package node

import (
	"strconv"
	"strings"

	"mailreplica/internal/listener"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/replica"
)

type streamStatus = replica.StreamStatus

// families are all metrics but those of Go and of the process. It is filled once and never altered. docs/operations.md says what to
// make of them.
var families = []family{
	gauge("mailreplica_build_info", "1, with the version of the program that runs.", labels{"version"},
		func(r *reading, to sink) { to.number(1, r.version) }),
	gauge("mailreplica_ready", "1 if /readyz answers 200: directory and brokers answer, and no account that lives here is kept from its clients.", nil,
		func(r *reading, to sink) { to.yes(r.health(r.held).Ready) }),

	// Mail in.
	counter("mailreplica_lmtp_recipients_total",
		"Recipients that LMTP clients were answered for: delivered (250), deferred (4xx, the client keeps the mail and tries again) or refused "+
			"(5xx, the client gives it back), and why. client is mta, or mailstore where another mailstore passed the mail on.",
		labels{"client", "result", "reason"}, lmtpRecipients),
	histogram("mailreplica_lmtp_delivery_seconds",
		"Seconds from the end of a message (DATA, BDAT LAST) to the answers for all of its recipients, whatever they were.",
		labels{"client"}, func(r *reading, to sink) {
			to.durations(&r.frontends.lmtp.Measures().MTAs.Deliveries, "mta")
			to.durations(&r.frontends.lmtp.Measures().Mailstores.Deliveries, "mailstore")
		}),
	counter("mailreplica_lmtp_relayed_total",
		"Recipients whose mail was passed on to their home on another mailstore: ok, or why not.",
		labels{"result"}, func(r *reading, to sink) { to.outcomes(&r.frontends.deliver.Measures().Relayed) }),
	counter("mailreplica_lmtp_repeats_total",
		"Deliveries that were sent again by a client that had missed the answer, and were recognised and dropped.",
		nil, func(r *reading, to sink) { to.number(float64(r.frontends.deliver.Measures().Repeats.Load())) }),

	// Sessions.
	gauge("mailreplica_sessions", "Connections that are open.", labels{"protocol"},
		func(r *reading, to sink) { r.listeners(to, (*listener.Server).Sessions) }),
	gauge("mailreplica_sessions_max", "Connections that may be open at once, as configured.", labels{"protocol"},
		func(r *reading, to sink) { r.listeners(to, (*listener.Server).SessionsMax) }),
	counter("mailreplica_sessions_turned_away_total", "Connections that were turned away because too many were open.", labels{"protocol"},
		func(r *reading, to sink) { r.listeners(to, (*listener.Server).Refused) }),
	counter("mailreplica_session_panics_total", "Sessions that were ended by a defect of this program. The log has the stack.", labels{"protocol"},
		func(r *reading, to sink) { r.listeners(to, (*listener.Server).Panics) }),

	// IMAP.
	counter("mailreplica_imap_logins_total",
		"Logins of IMAP clients: ok, credentials (wrong name or password), or why else they failed. Sessions that another mailstore passes on are "+
			"counted there.",
		labels{"result"}, func(r *reading, to sink) { to.outcomes(&r.frontends.imap.Measures().Logins) }),
	counter("mailreplica_nginx_logins_total",
		"Logins that nginx's mail proxy asked about (/nginx/auth): ok, credentials (wrong name or password), or why else it was told no. Those "+
			"who are let in to IMAP are counted there, too, at their home.",
		labels{"result"}, func(r *reading, to sink) { to.outcomes(r.frontends.nginx.Logins()) }),
	counter("mailreplica_imap_commands_total",
		"IMAP commands that have ended, by their tagged answer: ok, no, or bad. unknown is what was no command.",
		labels{"command", "result"}, func(r *reading, to sink) {
			for name, m := range r.frontends.imap.Measures().Commands {
				to.number(float64(m.OK.Load()), strings.ToLower(name), "ok")
				to.number(float64(m.No.Load()), strings.ToLower(name), "no")
				to.number(float64(m.Bad.Load()), strings.ToLower(name), "bad")
			}
		}),
	histogram("mailreplica_imap_command_seconds",
		"Seconds from an IMAP command that changes a mailbox to its answer. Of append they hold the time in which the client sends its message.",
		labels{"command"}, func(r *reading, to sink) {
			for name, m := range r.frontends.imap.Measures().Commands {
				if m.Changes {
					to.durations(&m.Seconds, strings.ToLower(name))
				}
			}
		}),

	// The event log.
	gauge("mailreplica_eventlog_configured", "1 if brokers are configured (carbonio config get global brokers).", nil,
		func(r *reading, to sink) {
			brokers, _ := r.copy.Config(configNameBrokers)
			to.yes(brokers != "")
		}),
	gauge("mailreplica_eventlog_reachable",
		"1 if the brokers answered when they were last spoken to, which is every second while anything is read of them. At 0 no replicated "+
			"account can be changed.", nil,
		func(r *reading, to sink) { to.yes(r.logReachable()) }),
	histogram("mailreplica_eventlog_append_seconds", "Seconds until the brokers confirmed a record, with its wait for a turn.", nil,
		func(r *reading, to sink) { to.durations(&r.agent.Measures().Appended) }),
	counter("mailreplica_eventlog_appends_total",
		"Records appended to the event log: ok, or why not confirmed. Those are in doubt, and are appended again until the log has decided.",
		labels{"result"}, func(r *reading, to sink) { to.outcomes(&r.agent.Measures().Appends) }),
	gauge("mailreplica_eventlog_waiting_records", "Records that wait for the brokers to confirm them.", nil,
		func(r *reading, to sink) {
			records, _ := r.logWaiting()
			to.number(float64(records))
		}),
	gauge("mailreplica_eventlog_waiting_bytes", "Bytes of the records that wait for the brokers to confirm them.", nil,
		func(r *reading, to sink) {
			_, bytes := r.logWaiting()
			to.number(float64(bytes))
		}),

	// Streams: what replicas lag by.
	gauge("mailreplica_stream_applied_offset", "Offset in a stream of the event log up to which this mailstore has applied records.", labels{"stream"},
		func(r *reading, to sink) {
			r.eachStream(to, func(s streamStatus) float64 { return float64(s.Applied) })
		}),
	gauge("mailreplica_stream_end_offset", "Offset at which a stream ends, as far as this mailstore has heard.", labels{"stream"},
		func(r *reading, to sink) { r.eachStream(to, func(s streamStatus) float64 { return float64(s.End) }) }),
	gauge("mailreplica_stream_lag_records", "Records of a stream that this mailstore has heard of and not applied.", labels{"stream"},
		func(r *reading, to sink) {
			r.eachStream(to, func(s streamStatus) float64 { return float64(s.End - s.Applied) })
		}),
	gauge("mailreplica_stream_lag_seconds",
		"Age, by the brokers' clock, of the first record of a stream that is not applied. 0 if all are: then copies here are as new as the log.",
		labels{"stream"}, func(r *reading, to sink) {
			r.eachStream(to, func(s streamStatus) float64 { return s.Behind.Seconds() })
		}),

	// Copies.
	gauge("mailreplica_copies",
		"Copies of mailboxes on this mailstore. role: single (an account without replicas), primary (it lives here, and has replicas) or replica. "+
			"state: live, paused (replication is), initialising or catching_up (being made), gap (has missed records) or diverged (differs from "+
			"the log, or a record could not be applied).",
		labels{"role", "state"}, copiesByClass),
	gauge("mailreplica_accounts_not_served", "Accounts that live here and that no client is let in to now.", nil,
		func(r *reading, to sink) { to.number(float64(r.held.NotServing)) }),
	gauge("mailreplica_journal_changes", "Changes of paused accounts that are in this mailstore's journal alone: they would be lost with it.", nil,
		func(r *reading, to sink) { to.number(float64(r.held.journalled)) }),

	// Bodies.
	histogram("mailreplica_body_store_seconds", "Seconds that a volume took to make a message's body durable, after its last byte had come.", nil,
		func(r *reading, to sink) { to.durations(&r.mailstore.Bodies().Stored) }),
	counter("mailreplica_body_store_failures_total", "Bodies of messages that the volume did not take.", nil,
		func(r *reading, to sink) { to.number(float64(r.mailstore.Bodies().NotStored.Load())) }),
	counter("mailreplica_body_opens_total", "Bodies of messages that were opened to be read: ok, or why not. not_found is a body that is lost.", labels{"result"},
		func(r *reading, to sink) { to.outcomes(&r.mailstore.Bodies().Opened) }),
	gauge("mailreplica_blob_cache_bytes", "Size of the cache of bodies that lie in buckets.", nil,
		func(r *reading, to sink) { to.number(float64(r.volumes.cacheStats().Bytes)) }),
	counter("mailreplica_blob_cache_opens_total", "Bodies that lie in buckets and were opened: hit in the cache, or miss.", labels{"result"},
		func(r *reading, to sink) {
			to.number(float64(r.volumes.cacheStats().Hits), "hit")
			to.number(float64(r.volumes.cacheStats().Misses), "miss")
		}),
	counter("mailreplica_blob_cache_write_failures_total", "Files of the cache that could not be written. Nothing fails by that; it is slower.", nil,
		func(r *reading, to sink) { to.number(float64(r.volumes.cacheStats().WritesFailed)) }),

	// The mailstore's database.
	gauge("mailreplica_database_writable",
		"1 if the mailstore's database takes changes, as far as is known. 0: it cannot be reached, or an fsync has failed and the mailstore must be "+
			"restarted.", nil,
		func(r *reading, to sink) { to.yes(r.store.Writable()) }),
	histogram("mailreplica_database_commit_seconds", "Seconds that the commits of transactions took; their count is that of the transactions.", nil,
		func(r *reading, to sink) { to.durations(&r.store.Measures().Commits) }),
	counter("mailreplica_database_updates_total", "Updates that were committed; those that come at the same time share a transaction.", nil,
		func(r *reading, to sink) { to.number(float64(r.store.Measures().Updates.Load())) }),
	counter("mailreplica_database_failures_total", "Updates that the database did not take: a full disk, or a server that is away.", nil,
		func(r *reading, to sink) { to.number(float64(r.store.Measures().Failed.Load())) }),
	histogram("mailreplica_database_checkpoint_seconds", "Seconds that copying the write-ahead log into the database took (SQLite).", nil,
		func(r *reading, to sink) { to.durations(&r.store.Measures().Checkpoints) }),
	gauge("mailreplica_database_size_bytes", "Size of the database file (SQLite).", nil,
		func(r *reading, to sink) {
			if sizes, known := r.store.Sizes(); known {
				to.number(float64(sizes.Database))
			}
		}),
	gauge("mailreplica_database_wal_bytes", "Size of what the write-ahead log holds (SQLite). It begins anew at 64 MiB, unless somebody reads for long.", nil,
		func(r *reading, to sink) {
			if sizes, known := r.store.Sizes(); known {
				to.number(float64(sizes.WAL))
			}
		}),

	// What mailstores share, and the others.
	gauge("mailreplica_directory_reachable", "1 if the directory answered when it was last asked.", nil,
		func(r *reading, to sink) { to.yes(r.follower.Status().Problem == nil) }),
	gauge("mailreplica_directory_copy_age_seconds",
		"Seconds since this mailstore's copy of the directory was last known to equal it. Passwords are checked against a copy for 24 hours.", nil,
		func(r *reading, to sink) { to.number(r.follower.Status().Age.Seconds()) }),
	counter("mailreplica_peer_requests_total", "Requests to another mailstore's peer API: answered, or unanswered.", labels{"mailstore", "result"},
		func(r *reading, to sink) {
			for _, m := range r.copy.Mailstores() {
				if m.FQDN != r.config.FQDN {
					requests := r.peers.Requests(m.PeerAddr)
					to.number(float64(requests.Answered.Load()), m.FQDN, "answered")
					to.number(float64(requests.Unanswered.Load()), m.FQDN, "unanswered")
				}
			}
		}),
	gauge("mailreplica_operations_running", "Operations (carbonio core getAllOperations) that run on this mailstore.", labels{"type"},
		func(r *reading, to sink) {
			running, _ := r.admin.Operations.Running()
			for kind, n := range running {
				to.number(float64(n), kind)
			}
		}),
	gauge("mailreplica_operations_waiting", "Operations of this mailstore that wait until others have ended.", nil,
		func(r *reading, to sink) {
			_, waiting := r.admin.Operations.Running()
			to.number(float64(waiting))
		}),
	gauge("mailreplica_certificate_expiry_timestamp_seconds", "When the mailstore's TLS certificate is good no longer, in seconds since 1970.", nil,
		func(r *reading, to sink) {
			if end := r.tls.notAfter(); !end.IsZero() {
				to.number(float64(end.Unix()))
			}
		}),
}

func lmtpRecipients(r *reading, to sink) {
	for _, client := range []struct {
		name     string
		measures *lmtp.ClientMeasures
	}{{"mta", &r.frontends.lmtp.Measures().MTAs}, {"mailstore", &r.frontends.lmtp.Measures().Mailstores}} {
		to.number(float64(client.measures.Recipients.OK()), client.name, "delivered", "")
		for kind, n := range client.measures.Recipients.Failed() {
			to.number(float64(n), client.name, lmtp.Result(kind), kind.Word())
		}
	}
}

func copiesByClass(r *reading, to sink) {
	for _, role := range roles {
		for _, state := range states {
			to.number(float64(r.held.by[class{role, state}]), role, state)
		}
	}
}

// listeners gives a number of each protocol server.
func (r *reading) listeners(to sink, number func(*listener.Server) int) {
	to.number(float64(number(r.frontends.imap.Server)), "imap")
	to.number(float64(number(r.frontends.lmtp.Server)), "lmtp")
}

// eachStream gives a number of each stream that is read.
func (r *reading) eachStream(to sink, number func(streamStatus) float64) {
	for _, s := range r.streams {
		to.number(number(s), strconv.Itoa(int(s.Number)))
	}
}

func (r *reading) logWaiting() (records, bytes int64) {
	if log := r.agent.Log(); log != nil {
		return log.Waiting()
	}
	return 0, 0
}
