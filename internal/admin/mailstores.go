package admin

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mailreplica/internal/account"
	"mailreplica/internal/complaint"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/peer"
)

// Server is a mailstore as an administrator sees it.
type Server struct {
	Name      string    `json:"name"`
	Running   bool      `json:"running"` // gave a sign in the last seconds
	SeenAt    time.Time `json:"seenAt"`
	Accounts  int       `json:"accounts"`
	Replicas  int       `json:"replicas"`
	AdminAddr string    `json:"adminAddress"`
	PeerAddr  string    `json:"peerAddress"`
	LMTPAddr  string    `json:"lmtpAddress"`
	IMAPAddr  string    `json:"imapAddress"`
}

// GetAllServers gives every mailstore.
func (a *Admin) GetAllServers(ctx context.Context) ([]Server, error) {
	stored, err := a.Directory.Mailstores(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := a.Directory.CountByHome(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.Follower.Poll(ctx); err != nil {
		return nil, err
	}
	all := make([]Server, len(stored))
	for i, m := range stored {
		all[i] = Server{Name: m.FQDN, Running: isRunning(m), SeenAt: m.SeenAt, Accounts: counts[m.FQDN],
			Replicas: len(a.copy.ReplicasOn(m.FQDN)), AdminAddr: m.AdminAddr, PeerAddr: m.PeerAddr, LMTPAddr: m.LMTPAddr,
			IMAPAddr: m.IMAPAddr}
	}
	return all, nil
}

func isRunning(m directory.Mailstore) bool {
	return time.Since(m.SeenAt).Abs() < directory.IncarnationLiveFor
}

// DeleteServer forgets a mailstore on which nothing lives and which does not run.
func (a *Admin) DeleteServer(ctx context.Context, fqdn string) error {
	if err := a.Follower.Poll(ctx); err != nil {
		return err
	}
	known, err := a.mailstore(fqdn)
	if err != nil {
		return err
	}
	m, err := a.Directory.Mailstore(ctx, known.FQDN)
	if err != nil {
		return err
	}
	counts, err := a.Directory.CountByHome(ctx)
	if err != nil {
		return err
	}
	if empty := counts[m.FQDN] == 0 && len(a.copy.ReplicasOn(m.FQDN)) == 0; empty && isRunning(m) {
		return fault.New(fault.Invalid, "the mailstore %s is running: it would make itself known again", m.FQDN).
			WithHint("stop it, wait %.0f seconds and repeat the command", directory.IncarnationLiveFor.Seconds())
	}
	if err := a.Directory.DeleteMailstore(ctx, m.FQDN); err != nil {
		return err
	}
	a.tell(ctx, a.allMailstores()...)
	return nil
}

// Services is the state of the parts of one mailstore.
type Services struct {
	Mailstore    string          `json:"mailstore"`
	LogReachable bool            `json:"canConnectToKafka"`
	Services     []ServiceStatus `json:"services"`
}

// ServiceStatus is one part of a mailstore that can be stopped and started.
type ServiceStatus struct {
	Name    string `json:"service"`
	Running bool   `json:"running"`
	Detail  string `json:"detail"`
}

// GetServices gives the parts of this mailstore.
func (a *Admin) GetServices(ctx context.Context) (Services, error) {
	addr, err := a.peerAddr(a.Self)
	if err != nil {
		return Services{}, err
	}
	status, err := a.Peers.Status(ctx, addr, nil)
	if err != nil {
		return Services{}, err
	}
	s := Services{Mailstore: status.Mailstore, LogReachable: status.LogReachable}
	for _, one := range status.Services {
		s.Services = append(s.Services, ServiceStatus(one))
	}
	return s, nil
}

// SetService is what SetService takes.
type SetService struct {
	Name string `json:"name"`
	Do   string `json:"do"` // start, stop or restart
}

// SetService starts or stops a part of this mailstore.
func (a *Admin) SetService(ctx context.Context, in SetService) (Services, error) {
	addr, err := a.peerAddr(a.Self)
	if err != nil {
		return Services{}, err
	}
	steps := map[string][]bool{"start": {true}, "stop": {false}, "restart": {false, true}}[in.Do]
	if steps == nil {
		return Services{}, fault.New(fault.Invalid, "%q is nothing to do with a service", in.Do)
	}
	for _, run := range steps {
		if err := a.Peers.SetService(ctx, addr, in.Name, run); err != nil {
			return Services{}, err
		}
	}
	return a.settled(ctx, steps[len(steps)-1])
}

const (
	serviceWait = 2 * time.Second // for a service to do its work again
	serviceLook = 50 * time.Millisecond
)

// settled gives the parts of this mailstore as soon as the log is reached again, or after a while as they are.
func (a *Admin) settled(ctx context.Context, running bool) (Services, error) {
	brokers, _ := a.copy.Config(SettingBrokers)
	ticker := time.NewTicker(serviceLook)
	defer ticker.Stop()
	for end := time.Now().Add(serviceWait); ; {
		s, err := a.GetServices(ctx)
		if err != nil || !running || brokers == "" || s.LogReachable || time.Now().After(end) {
			return s, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return s, nil
		}
	}
}

// ask asks mailstores, side by side and within a bound, what they are and how the copies are that each is asked for. Those
// that do not answer in time are left out of the answer.
func (a *Admin) ask(ctx context.Context, wanted map[string][]account.ID) map[string]peer.Status {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	answers := make(chan answer)
	questions := 0
	for fqdn, all := range wanted {
		addr, err := a.peerAddr(fqdn)
		if err != nil {
			continue // it was deleted: it does not answer
		}
		for from := 0; from == 0 || from < len(all); from += askAccountsMax {
			part := all[min(from, len(all)):min(from+askAccountsMax, len(all))]
			questions++
			go func() {
				status, err := a.Peers.Status(ctx, addr, part)
				answers <- answer{fqdn, status, err}
			}()
		}
	}
	found := make(map[string]peer.Status, len(wanted))
	silent := make(map[string]bool)
	for range questions {
		one := <-answers // every question ends with ctx at the latest
		if one.err != nil {
			silent[one.fqdn] = true
			a.silences.of(one.fqdn).Say("a mailstore does not answer", one.err, "peer", one.fqdn)
			continue
		}
		a.silences.of(one.fqdn).Over("a mailstore answers again", "peer", one.fqdn)
		status := found[one.fqdn]
		one.status.Copies = append(status.Copies, one.status.Copies...)
		found[one.fqdn] = one.status
	}
	for fqdn := range silent {
		if len(found[fqdn].Copies) == 0 {
			delete(found, fqdn)
		}
	}
	return found
}

// silences tell the log why mailstores do not answer: whether one is down, or another token or certificate keeps it silent, is seen
// by no one else. Operations ask over and over.
type silences struct {
	logger *slog.Logger
	mu     sync.Mutex
	about  map[string]*complaint.Complaint // by FQDN
}

func (s *silences) of(fqdn string) *complaint.Complaint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.about[fqdn] == nil {
		s.about[fqdn] = complaint.New(s.logger)
	}
	return s.about[fqdn]
}

type answer struct {
	fqdn   string
	status peer.Status
	err    error
}

// Limits of a question.
const (
	askAccountsMax = 1_000
	askWait        = peer.StatusWait - 500*time.Millisecond // leaves time to answer within the bound that operators know
)

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
