package scenario

import "time"

// These make the list below short.
func work(changes int) Step                    { return Step{Do: Work, Changes: changes} }
func pass(d time.Duration) Step                { return Step{Do: Pass, For: d} }
func do(a Action, at Party) Step               { return Step{Do: a, At: at} }
func between(a Action, at, to Party) Step      { return Step{Do: a, At: at, To: to} }
func slow(at, to Party, by time.Duration) Step { return Step{Do: Slow, At: at, To: to, For: by} }

const (
	moment = 300 * time.Millisecond // something is under way
	while  = 3 * time.Second        // some waits come to their ends
)

// All are the scenarios. Every one begins with a home and two replicas that are equal, under load.
var All = []Scenario{
	{"the home is killed and a replica promoted", []Step{
		work(20), do(Kill, Home), do(Promote, First), work(20), do(Start, Home), work(10)}},
	{"the home is frozen, a replica promoted, and the home goes on", []Step{
		work(20), do(Freeze, Home), do(Promote, First), work(20), do(Thaw, Home), work(10)}},
	{"both sides of a cut want to be the home", []Step{
		work(20), between(Cut, Home, Brokers), between(Cut, Home, First), between(Cut, Home, Second), pass(moment),
		do(Promote, First), work(20), do(Heal, ""), work(10)}},
	{"the home hears the log and is not heard", []Step{
		work(20), between(Silence, Home, Brokers), pass(while), do(Promote, First), work(20), do(Heal, ""), work(10)}},
	{"the home is heard by the log and does not hear it", []Step{
		work(20), between(Silence, Brokers, Home), pass(while), do(Promote, First), work(20), do(Heal, ""), work(10)}},
	{"the home does not hear of its successor", []Step{
		work(20), between(Silence, Brokers, Home), do(Promote, First), work(10), do(Kill, Home), do(Start, Home), do(Heal, ""), work(10)}},
	{"two replicas are promoted at once", []Step{
		work(20), do(TryPromote, First), do(TryPromote, Second), pass(moment), work(20)}},
	{"there and back", []Step{
		work(10), do(Promote, First), work(10), do(Promote, Second), work(10), do(Promote, Home), work(10)}},
	{"the one that is promoted dies meanwhile", []Step{
		work(20), do(Freeze, Home), do(TryPromote, First), pass(moment), do(Kill, First), do(Start, First), do(Promote, First), work(20)}},
	{"a replica dies while it applies", []Step{
		work(20), do(Kill, First), work(20), do(Start, First), do(Kill, First), do(Start, First), work(10)}},
	{"a replica stops in good order under load", []Step{
		work(20), do(Stop, First), work(20), do(Start, First), work(10)}},
	{"a replica is away for long, and comes back to a promotion", []Step{
		work(10), do(Freeze, First), work(60), do(Thaw, First), do(Promote, First), work(10)}},
	{"a replica is made while its source dies", []Step{
		do(Withdraw, Second), work(20), do(Replicate, Second), pass(moment), do(Kill, Home), do(Start, Home), work(20)}},
	{"a replica is made over a line that breaks", []Step{
		do(Withdraw, Second), work(20), between(Cut, Home, Second), do(Replicate, Second), work(20), do(Heal, ""), work(10)}},
	{"a replica is withdrawn, wished for again, and promoted", []Step{
		work(10), do(Withdraw, First), do(Replicate, First), work(20)}},
	{"a broker is lost", []Step{
		work(20), do(Kill, Broker), work(20), do(Start, Broker), work(10)}},
	{"a broker stands still", []Step{
		work(20), do(Freeze, Broker), work(20), do(Thaw, Broker), work(10)}},
	{"all brokers are lost", []Step{
		work(20), do(Kill, Brokers), pass(moment), do(Start, Brokers), work(20)}},
	{"all brokers stand still", []Step{
		work(20), do(Freeze, Brokers), pass(while), do(Thaw, Brokers), work(20)}},
	{"brokers and home are lost together", []Step{
		work(20), do(Kill, Brokers), do(Kill, Home), do(Start, Home), do(Start, Brokers), work(20)}},
	{"everything is lost at once", []Step{
		work(20), do(Kill, Home), do(Kill, First), do(Kill, Second), do(Kill, Brokers),
		do(Start, Second), do(Start, Brokers), do(Start, First), do(Start, Home), work(20)}},
	{"the disk of the home is full", []Step{
		work(20), do(Fill, Home), pass(while), do(Empty, Home), work(20)}},
	{"the disk of the home is full, and a replica is promoted", []Step{
		work(20), do(Fill, Home), pass(moment), do(Promote, First), work(20), do(Empty, Home), work(10)}},
	{"the disk of a replica is full", []Step{
		work(20), do(Fill, First), work(20), do(Empty, First), work(10), do(Promote, First), work(10)}},
	{"the home dies on a full disk", []Step{
		work(20), do(Fill, Home), pass(moment), do(Kill, Home), do(Empty, Home), do(Start, Home), work(20)}},
	{"the volume is full", []Step{
		work(20), do(Fill, Volume), pass(while), do(Empty, Volume), work(20)}},
	{"the volume is away", []Step{
		work(20), do(Kill, Volume), pass(while), do(Start, Volume), work(20)}},
	{"the volume stands still", []Step{
		work(20), do(Freeze, Volume), pass(while), do(Thaw, Volume), work(20)}},
	{"the home is cut off from the volume", []Step{
		work(20), between(Cut, Home, Volume), pass(while), do(Promote, First), work(20), do(Heal, ""), work(10)}},
	{"the directory is away", []Step{
		work(20), do(Kill, Directory), work(20), do(Start, Directory), work(10)}},
	{"the home is cut off from the directory", []Step{
		work(20), between(Cut, Home, Directory), work(20), do(Promote, First), work(10), do(Heal, ""), work(10)}},
	{"a slow line to the log", []Step{
		slow(Home, Brokers, 100*time.Millisecond), slow(Brokers, Home, 100*time.Millisecond), work(20), do(Promote, First), work(10)}},
	{"changes while paused, and a death", []Step{
		work(20), do(Pause, ""), work(20), do(Kill, Home), do(Start, Home), work(10), do(Resume, ""), work(10), do(Promote, First), work(10)}},
	{"paused, and the log is away", []Step{
		work(10), do(Pause, ""), pass(while), do(Kill, Brokers), work(20), do(Start, Brokers), do(Resume, ""), work(20)}},
}
