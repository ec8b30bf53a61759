// Package e2e holds nothing but tests: whole clusters of real processes, on free ports and in folders of their own, under
// load, kill -9, SIGSTOP and bad input, judged over IMAP and LMTP as clients judge them. It knows the programs, their
// configuration and the protocols, and none of the packages behind them.
//
// How long it goes on is set by the environment: E2E_ROUNDS (of kill and promotion, default 2), E2E_LOAD_MS (of load before
// a fault, default 2500), E2E_ACCOUNTS (of the promotion that is interrupted, default 500). E2E_RACE=1 builds the programs
// with the race detector, E2E_BIN=folder takes those that are there; E2E_KEEP=folder keeps logs and data of failed tests there.
package e2e
