package admin

import (
	"context"
	"slices"

	"mailreplica/internal/account"
	"mailreplica/internal/directory"
	"mailreplica/internal/fault"
	"mailreplica/internal/operation"
)

// runSetDestination waits until the copies are available. A wish that is taken back, or an account that ends, fails.
func (a *Admin) runSetDestination(ctx context.Context, task *operation.Task) error {
	var p destinationParameters
	if err := task.Parameters(&p); err != nil {
		return err
	}
	w := waiter{a: a, task: task, patient: true, blind: len(p.Unasked) == 0}
	asked := map[account.ID]bool{}
	w.judge = func(ctx context.Context, one waited) verdict {
		wish, known := a.copy.Account(one.id)
		if !known || wish.Deleting {
			return verdict{err: fault.New(fault.NotFound, "the account was deleted meanwhile")}
		}
		if wish.MailHost == p.Destination {
			return verdict{done: true} // promoted meanwhile: it could not have been without a complete copy
		}
		replica, has := a.replica(one.id, p.Destination)
		if !has || replica.Removing {
			return verdict{err: fault.New(fault.NotFound, "the replica of %s on %s was removed meanwhile", wish.Name, p.Destination)}
		}
		if replica.State == directory.Available {
			return verdict{done: true}
		}
		if slices.Contains(p.Unasked, wish.MailHost) && !asked[one.id] {
			if _, told := w.copyOf(one.id); told {
				var err error
				asked[one.id], err = a.contentsReached(ctx, wish.MailHost, []account.ID{one.id}, p.Destination)
				return verdict{err: err}
			}
		}
		return verdict{}
	}
	return w.run(ctx)
}

// runRemoveDestination waits until the homes have appended the Leaves and dropped the replicas.
func (a *Admin) runRemoveDestination(ctx context.Context, task *operation.Task) error {
	var p destinationParameters
	if err := task.Parameters(&p); err != nil {
		return err
	}
	w := waiter{a: a, task: task}
	w.judge = func(_ context.Context, one waited) verdict {
		replica, has := a.replica(one.id, p.Destination)
		if has && !replica.Removing {
			return verdict{err: fault.New(fault.Busy, "the replica on %s was wished for anew meanwhile", p.Destination)}
		}
		return verdict{done: !has}
	}
	return w.run(ctx)
}

// runDelete waits until the homes have ended the accounts.
func (a *Admin) runDelete(ctx context.Context, task *operation.Task) error {
	w := waiter{a: a, task: task}
	w.judge = func(_ context.Context, one waited) verdict {
		_, known := a.copy.Account(one.id)
		return verdict{done: !known}
	}
	return w.run(ctx)
}

func (a *Admin) runPause(ctx context.Context, task *operation.Task) error {
	return a.awaitMode(ctx, task, true)
}

func (a *Admin) runRestart(ctx context.Context, task *operation.Task) error {
	return a.awaitMode(ctx, task, false)
}

// awaitMode waits until the homes' copies commit as wished: to the journal, or to the log again.
func (a *Admin) awaitMode(ctx context.Context, task *operation.Task, paused bool) error {
	w := waiter{a: a, task: task}
	w.judge = func(_ context.Context, one waited) verdict {
		wish, known := a.copy.Account(one.id)
		if !known || wish.Deleting {
			return verdict{err: fault.New(fault.NotFound, "the account was deleted meanwhile")}
		}
		if wish.Paused != paused {
			return verdict{err: fault.New(fault.Busy, "the opposite was wished for %s meanwhile", wish.Name)}
		}
		c, told := w.copyOf(one.id)
		if !told {
			return verdict{}
		}
		if paused {
			return verdict{done: c.Mode == modePaused}
		}
		return verdict{done: c.Mode == modeLog || c.Mode == modeLocal}
	}
	return w.run(ctx)
}

// Modes of a copy, as the peer API names them.
const (
	modeLocal  = "local"
	modeLog    = "log"
	modePaused = "paused"
)

// runReseed has one mailstore's copies made the primaries, one after another.
func (a *Admin) runReseed(ctx context.Context, task *operation.Task) error {
	var p destinationParameters
	if err := task.Parameters(&p); err != nil {
		return err
	}
	for _, item := range task.Pending() {
		id, err := account.ParseID(item.Account)
		if err == nil {
			err = a.Reseeder.Reseed(ctx, p.Destination, id)
		}
		switch {
		case ctx.Err() != nil:
			return fault.Wrap(fault.Interrupted, ctx.Err(), "no longer reseeding")
		case err != nil:
			task.Failed(item, err)
		default:
			task.Succeeded(item, "")
		}
	}
	a.tell(ctx, a.allMailstores()...)
	return nil
}
