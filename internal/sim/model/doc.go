// Command model is a small executable model of the whole system as it is built, apart from its code: mailstores with databases that
// lose what was not synced, a log that is late, lossy and repeats, a directory that everybody has an old copy of, a volume, and an
// administrator. It walks at random through what can happen, and asks after each step whether a promise is broken. Every rule is a
// switch; without it, walks lose mail (breaks.go). At times a walk follows a schedule of a few steps that leads to a rare moment (aim.go).
//
// It shares nothing with package protocol, whose own walks use the real rules: this one is for asking before a rule is changed, and
// knows what lies around the rules too: wishes and their lag, blobs and when they may go, deletion, copies that are made bit by bit.
//
//	go run ./internal/sim/model                      # the system as built, and each rule taken away, a few seconds each
//	go run ./internal/sim/model -for 1h -only ''     # the system as built, for hours
//	go run ./internal/sim/model -only fence -show    # one break, with the shortest history that was found
package main
