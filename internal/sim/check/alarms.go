package check

// Alarms are lines of a mailstore's log that no fault explains, as long as the event log keeps its records: each is a broken promise.
var Alarms = []string{
	"a copy has diverged and will be made anew",
	"a copy has missed records of the event log",
	"the event log does not hold this mailstore's position",
	"an account's rows are not at the head of its copy",
	"a record of the event log cannot be read",
	"a change panicked",
}
