package frontend

import (
	"sync"

	"mailreplica/internal/lmtp"
)

const answersAbroadMax = 10_000 // for each home

// answersAbroad keeps answered deliveries of accounts whose home is elsewhere until they are told to it.
type answersAbroad struct {
	mu    sync.Mutex
	homes map[string][]lmtp.Receipt // by FQDN
}

func newAnswersAbroad() *answersAbroad { return &answersAbroad{homes: map[string][]lmtp.Receipt{}} }

func (a *answersAbroad) add(home string, r lmtp.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.homes[home]) < answersAbroadMax {
		a.homes[home] = append(a.homes[home], r)
	}
}

func (a *answersAbroad) take(home string) []lmtp.Receipt {
	a.mu.Lock()
	defer a.mu.Unlock()
	receipts := a.homes[home]
	delete(a.homes, home)
	return receipts
}

func (a *answersAbroad) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := make([]string, 0, len(a.homes))
	for home := range a.homes {
		names = append(names, home)
	}
	return names
}
