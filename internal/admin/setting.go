package admin

import (
	"context"
	"errors"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strings"

	"mailreplica/internal/directory"
	"mailreplica/internal/eventlog"
	"mailreplica/internal/fault"
)

// The other global settings.
const (
	SettingNotificationFrom    = "notificationFrom"
	SettingNotificationWebhook = "notificationWebhook"
)

// Setting is a global setting. Value is nil where it is not set.
type Setting struct {
	Name  string  `json:"name"`
	Value *string `json:"value"`
}

// settings says, of every global setting there is, how a value is checked and spelt. An empty value unsets it.
func (a *Admin) settings() map[string]func(ctx context.Context, value string) (string, error) {
	return map[string]func(context.Context, string) (string, error){
		SettingBrokers:             a.checkBrokers,
		SettingNotificationFrom:    checkSender,
		SettingNotificationWebhook: checkWebhook,
	}
}

func (a *Admin) setting(name string) (string, error) {
	for known := range a.settings() {
		if strings.EqualFold(known, name) {
			return known, nil
		}
	}
	return "", fault.New(fault.Invalid, "there is no global setting %q", name).
		WithHint("there are: %s", strings.Join(slices.Sorted(maps.Keys(a.settings())), ", "))
}

// GetConfig gives a global setting, or all there are if no name is given.
func (a *Admin) GetConfig(ctx context.Context, name string) ([]Setting, error) {
	names := slices.Sorted(maps.Keys(a.settings()))
	if name != "" {
		one, err := a.setting(name)
		if err != nil {
			return nil, err
		}
		names = []string{one}
	}
	stored, err := a.Directory.AllConfig(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Setting, len(names))
	for i, one := range names {
		all[i].Name = one
		if value, set := stored[one]; set {
			all[i].Value = &value
		}
	}
	return all, nil
}

// SetConfig sets a global setting, on every mailstore and without a restart. An empty value unsets it.
func (a *Admin) SetConfig(ctx context.Context, name, value string) (Setting, error) {
	name, err := a.setting(name)
	if err != nil {
		return Setting{}, err
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return Setting{}, err
	}
	value, err = a.settings()[name](ctx, strings.TrimSpace(value))
	if err != nil {
		return Setting{}, err
	}
	s := Setting{Name: name}
	if value == "" {
		if err = a.Directory.UnsetConfig(ctx, name); fault.Is(err, fault.NotFound) {
			err = nil
		}
	} else {
		s.Value = &value
		err = a.Directory.SetConfig(ctx, name, value)
	}
	if err != nil {
		return Setting{}, err
	}
	a.tell(ctx, a.allMailstores()...)
	return s, nil
}

// checkBrokers takes brokers that answer. While replicas exist they must be of the cluster that holds the log: every
// replicated account is bound to its stream there (rule 12).
func (a *Admin) checkBrokers(ctx context.Context, value string) (string, error) {
	replicated := len(a.copy.Accounts(func(one *directory.Account) bool { return len(a.copy.Replicas(one.ID)) > 0 }))
	if value == "" {
		if replicated > 0 {
			return "", fault.New(fault.Invalid, "brokers cannot be unset while %s %s replicas", count(replicated, "account"), haveVerb(replicated)).
				WithHint("remove the replicas first: MailReplica removeAccountDestination")
		}
		return "", nil
	}
	brokers, err := eventlog.ParseBrokers(value)
	if err != nil {
		return "", err
	}
	var expect eventlog.Identity
	if replicated > 0 {
		expect = a.logIdentity()
	}
	if err := a.sameCluster(ctx, brokers, expect); err != nil {
		return "", brokersRefused(err, value, replicated)
	}
	return strings.Join(brokers, ","), nil
}

// logIdentity is the log in use, as this mailstore reads it, or as the directory knows it from an account that is in it.
func (a *Admin) logIdentity() eventlog.Identity {
	if known := a.LogStatus().Identity; known != (eventlog.Identity{}) {
		return known
	}
	opened := a.copy.Accounts(func(one *directory.Account) bool { return one.Stream >= 0 })
	if len(opened) == 0 {
		return eventlog.Identity{}
	}
	return eventlog.Identity{ClusterID: opened[0].ClusterID, TopicID: opened[0].TopicID}
}

// sameCluster opens the log through one broker after another, for a client asks any of them: they must be of one cluster, that
// of the log in use if one is expected. Some may be away, not all.
func (a *Admin) sameCluster(ctx context.Context, brokers []string, expect eventlog.Identity) error {
	var silent error
	answered := false
	for _, one := range brokers {
		cfg := a.LogConfig([]string{one})
		cfg.Expect = expect
		log, err := eventlog.Open(ctx, cfg)
		if err == nil {
			expect, err = log.Identity(ctx)
			log.Close()
		}
		switch {
		case err == nil:
			answered = true
		case fault.Is(err, fault.LogUnavailable) && !errors.Is(err, eventlog.ErrTopicGone):
			if silent == nil || errors.Is(err, eventlog.ErrRefused) { // of which more can be said
				silent = err
			}
		default:
			return err
		}
	}
	if answered {
		return nil
	}
	return silent
}

func brokersRefused(err error, value string, replicated int) error {
	if errors.Is(err, eventlog.ErrRefused) {
		return err
	}
	if errors.Is(err, eventlog.ErrTopicGone) && !errors.Is(err, eventlog.ErrOtherCluster) {
		return fault.Wrap(fault.Invalid, err, "the brokers %s do not hold the event log any more: %s", value, fault.Message(err)).
			WithHint("%s", fault.HintOf(err))
	}
	if errors.Is(err, eventlog.ErrTopicGone) {
		what := "each other"
		if replicated > 0 {
			what = "the log in which " + count(replicated, "account") + " " + haveVerb(replicated) + " replicas"
		}
		return fault.Wrap(fault.Invalid, errors.Unwrap(err), "the brokers %s are not all of one cluster with %s: %s", value, what, fault.Message(err)).
			WithHint("name brokers of the same cluster, or remove every replica first")
	}
	if fault.Is(err, fault.LogUnavailable) {
		return fault.Wrap(fault.LogUnavailable, err, "none of the brokers %s answers; nothing was changed", value).
			WithHint("check names, ports and firewalls with MailReplica test %s", value)
	}
	return err
}

func haveVerb(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func checkSender(_ context.Context, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	parsed, err := mail.ParseAddress(value)
	if err != nil || parsed.Address != value {
		return "", fault.New(fault.Invalid, "%q is not an address that notifications can come from", value).
			WithHint("give local@domain")
	}
	return value, nil
}

func checkWebhook(_ context.Context, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	u, err := url.Parse(value)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fault.New(fault.Invalid, "%q is not the URL of a webhook", value).WithHint("give https://host/path")
	}
	return value, nil
}

// TestBrokers is what TestBrokers takes.
type TestBrokers struct {
	Brokers string        `json:"brokers"`
	SASL    eventlog.SASL `json:"sasl"`
}

// TestBrokers looks at brokers before they are used, from this mailstore. It changes nothing.
func (a *Admin) TestBrokers(ctx context.Context, in TestBrokers) (eventlog.Report, error) {
	brokers, err := eventlog.ParseBrokers(in.Brokers)
	if err != nil {
		return eventlog.Report{}, err
	}
	cfg := a.LogConfig(brokers)
	if in.SASL.Mechanism != "" {
		cfg.SASL = in.SASL
	}
	report, err := eventlog.TestBrokers(ctx, cfg)
	if fault.Is(err, fault.LogUnavailable) && !errors.Is(err, eventlog.ErrRefused) {
		return report, fault.Wrap(fault.LogUnavailable, err, "none of the brokers %s answers %s", in.Brokers, a.Self).
			WithHint("check names, ports and firewalls, that the brokers run, and that they want the TLS and the user that they are spoken to with")
	}
	return report, err
}
