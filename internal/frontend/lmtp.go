package frontend

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/fault"
	"mailreplica/internal/lmtp"
	"mailreplica/internal/mailbox"
	"mailreplica/internal/measure"
)

// localDeliveriesMax bounds the recipients of one mail that are served at once.
const localDeliveriesMax = 16

// LMTPConfig is what an LMTP backend is made of.
type LMTPConfig struct {
	Router *Router
	Relay  *lmtp.Relay
	Logger *slog.Logger
	// FlushAnswered is how long an answered delivery waits for another change of its account to travel in; 1 min.
	FlushAnswered time.Duration
}

// LMTP is the backend of the LMTP server.
type LMTP struct {
	router *Router
	relay  *lmtp.Relay
	logger *slog.Logger
	flush  time.Duration
	abroad *answersAbroad
	wake   chan struct{} // has room for one: homes are to be told

	measures LMTPMeasures
}

// LMTPMeasures are what a backend counts, by recipient.
type LMTPMeasures struct {
	Relayed measure.Outcomes // to homes elsewhere: what those answered, or that they did not
	Repeats atomic.Uint64    // deliveries here that were recognised as repeats and dropped
}

// Measures are counted on while the backend is used.
func (l *LMTP) Measures() *LMTPMeasures { return &l.measures }

var _ lmtp.Backend = (*LMTP)(nil)

// NewLMTP makes the backend of an LMTP server. Run must run for answered deliveries to be forgotten in time.
func NewLMTP(c LMTPConfig) *LMTP {
	if c.FlushAnswered <= 0 {
		c.FlushAnswered = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &LMTP{
		router: c.Router, relay: c.Relay, logger: c.Logger, flush: c.FlushAnswered, abroad: newAnswersAbroad(), wake: make(chan struct{}, 1),
	}
}

// Recipient implements lmtp.Backend.
func (l *LMTP) Recipient(ctx context.Context, address string, relayed bool) (lmtp.Recipient, error) {
	route, err := l.router.ByAddress(ctx, address)
	if err != nil {
		return lmtp.Recipient{}, err
	}
	if err := mayReceive(route.Account); err != nil {
		return lmtp.Recipient{}, err
	}
	if relayed && !route.Local {
		return lmtp.Recipient{}, notHome(route)
	}
	return lmtp.Recipient{Account: route.Account.ID, Name: route.Account.Name}, nil
}

func notHome(route Route) error {
	return fault.New(fault.NotHome, "moved: the home of %s is %s", route.Account.Name, route.Home)
}

// Deliver implements lmtp.Backend. An account that is named twice gets the mail once. Where a home says that it is not,
// cannot serve or does not answer, the directory is asked and another home tried once.
func (l *LMTP) Deliver(ctx context.Context, m *lmtp.Mail) []lmtp.Outcome {
	d := &delivery{l: l, mail: m, outcomes: make([]lmtp.Outcome, len(m.Recipients)), homes: make([]string, len(m.Recipients))}
	first := make(map[account.ID]int, len(m.Recipients))
	var todo []int
	for i, r := range m.Recipients {
		if _, twice := first[r.Account]; !twice {
			first[r.Account] = i
			todo = append(todo, i)
		}
	}
	d.attempt(ctx, todo, false)
	// A client that has left may have sent the mail again by another way by now, and have been answered: then this one would be a second
	// mail at the home that is tried next.
	if again := d.elsewhere(todo); len(again) > 0 && !m.Relayed && ctx.Err() == nil {
		l.router.refresh(ctx)
		d.attempt(ctx, again, true)
	}
	for i, r := range m.Recipients {
		d.outcomes[i] = d.outcomes[first[r.Account]]
	}
	return d.outcomes
}

// delivery is one mail under way.
type delivery struct {
	l        *LMTP
	mail     *lmtp.Mail
	outcomes []lmtp.Outcome // by recipient
	homes    []string       // that were tried
}

// elsewhere are those recipients whose account may live on another mailstore than the one that was tried.
func (d *delivery) elsewhere(indices []int) (again []int) {
	for _, i := range indices {
		if mayHaveMoved(d.outcomes[i].Err) {
			again = append(again, i)
		}
	}
	return again
}

// attempt delivers to some recipients, here and elsewhere at once. In a second attempt, only a home that was not tried yet
// is.
func (d *delivery) attempt(ctx context.Context, indices []int, second bool) {
	var local []localDelivery
	remote := map[string][]int{}
	routes := map[string]Route{}
	for _, i := range indices {
		route, err := d.l.router.ByID(ctx, d.mail.Recipients[i].Account)
		switch {
		case err != nil:
			d.outcomes[i].Err = err
		case second && route.Home == d.homes[i]:
			// The outcome stays: there is no other home.
		case route.Local:
			d.homes[i] = route.Home
			local = append(local, localDelivery{i, route})
		case d.mail.Relayed:
			d.outcomes[i].Err = notHome(route)
		default:
			d.homes[i] = route.Home
			remote[route.Home], routes[route.Home] = append(remote[route.Home], i), route
		}
	}
	if len(local) == 1 && len(remote) == 0 { // most mail: whoever received it stores it
		d.here(ctx, local[0])
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	for home, indices := range remote {
		running.Go(func() {
			defer d.survive(indices)
			d.relayTo(ctx, routes[home], indices)
		})
	}
	turns := make(chan struct{}, localDeliveriesMax)
	for _, one := range local {
		turns <- struct{}{}
		running.Go(func() {
			defer func() { <-turns }()
			d.here(ctx, one)
		})
	}
}

// localDelivery is to a recipient whose home is here.
type localDelivery struct {
	index int
	route Route
}

func (d *delivery) here(ctx context.Context, one localDelivery) {
	defer d.survive([]int{one.index})
	d.outcomes[one.index] = d.l.deliverHere(ctx, d.mail, d.mail.Recipients[one.index], one.route)
}

// survive ends a panic with the delivery in which it happened: a message that this mailstore cannot bear is its sender's to
// keep, and must not take all others' mail away. To deliver it again is harmless where it was delivered.
func (d *delivery) survive(indices []int) {
	problem := recover()
	if problem == nil {
		return
	}
	d.l.logger.Error("a delivery panicked and is refused for now: this is a defect", "mail", d.mail.ID,
		"recipients", len(indices), "panic", problem, "stack", string(debug.Stack()))
	for _, i := range indices {
		d.outcomes[i] = lmtp.Outcome{Err: fault.New(fault.Internal, "the mail could not be handled")}
	}
}

// relayTo hands the mail to the home of some recipients.
func (d *delivery) relayTo(ctx context.Context, route Route, indices []int) {
	home, err := d.l.router.home(route)
	if err != nil {
		for _, i := range indices {
			d.outcomes[i].Err = err
		}
		return
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	part := *d.mail
	part.Recipients = make([]lmtp.Recipient, len(indices))
	for k, i := range indices {
		part.Recipients[k] = d.mail.Recipients[i]
		// What the home has committed the new one knows, by its delivery key; what it commits from now on counts nowhere. Recipients who
		// have not moved are put off with those who have: their home owes an answer, too.
		defer d.l.router.moves.watch(part.Recipients[k].Account, route.Home, giveUp)()
	}
	receipts := d.l.abroad.take(route.Home)
	outcomes := d.l.relay.Deliver(ctx, lmtp.Home{FQDN: home.FQDN, Addr: home.LMTPAddr}, &part, receipts)
	for k, i := range indices {
		d.outcomes[i] = outcomes[k]
		d.l.measures.Relayed.Add(outcomes[k].Err)
	}
}

// deliverHere stores the mail in a mailbox of this mailstore. Whether it is a repeat, which is rare, the transaction finds: to look before
// would cost every mail a view of the rows, to spare a repeat its body.
func (l *LMTP) deliverHere(ctx context.Context, m *lmtp.Mail, r lmtp.Recipient, route Route) lmtp.Outcome {
	held, err := l.router.open(ctx, route.Account)
	if err != nil {
		return lmtp.Outcome{Err: notFinal(err)}
	}
	receipt := lmtp.Receipt{Account: r.Account, Key: m.Key(r)}
	trace := bytes.NewReader(m.Trace(l.router.self, r))
	message, err := l.router.config.Mailstore.StoreBody(ctx, io.MultiReader(trace, m.Body.Reader()))
	if err != nil {
		if !fault.Is(err, fault.TooLarge) { // the volume does not take blobs of that size
			err = notFinal(err)
		}
		return lmtp.Outcome{Err: err}
	}
	message.Received = m.Received
	var carried []lmtp.Receipt
	repeated := false
	err = held.Update(ctx, func(d *mailbox.Draft) (err error) {
		// First what was answered: it may be this very key, and the mail then is another that only looks the same.
		if carried, err = l.router.answers.into(d, r.Account); err != nil {
			return err
		}
		receipt.Sequence, repeated, err = deliver(d, message, receipt.Key)
		return err
	})
	if err != nil || repeated {
		l.router.config.Mailstore.DropBodies(ctx, []mailbox.NewMessage{message}, err)
	}
	if err != nil {
		return lmtp.Outcome{Err: notFinal(err)}
	}
	if repeated {
		l.measures.Repeats.Add(1)
	}
	l.router.answers.done(r.Account, carried)
	return lmtp.Outcome{Receipt: receipt}
}

// deliver adds a message to INBOX, unless it is a repeat, and gives the sequence of the transaction that delivered it.
func deliver(d *mailbox.Draft, m mailbox.NewMessage, key mailbox.DeliveryKey) (sequence mailbox.Sequence, repeated bool, err error) {
	delivered, repeated, err := d.Deliver(m, key, mailbox.Inbox)
	if err != nil || !repeated {
		return delivered.ModSeq, repeated, err
	}
	known, _, err := d.Delivery(key)
	return known.Sequence, true, err
}

// notFinal makes sure that a failure of this mailstore never makes an MTA give the mail back: the kinds that do are for
// recipients and over-size messages alone, whatever they mean deeper down.
func notFinal(err error) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Closed), fault.Is(err, fault.TooLarge):
		return fault.Wrap(fault.Busy, err, "the mail cannot be delivered now, try again later")
	}
	return err
}
