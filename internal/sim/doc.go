// Package sim runs a whole cluster inside one test, in virtual time, with all that it decides taken from one seed: several
// mailstores with their real code over a network in memory, the embedded broker, real database files, a volume and a directory.
// It makes them fail, has clients and administrators use them meanwhile, mends everything, and then has package check judge what
// they were told.
//
// It is for tests alone. DESIGN.md says how a run goes, what is not decided by the seed, and how a failure is replayed.
package sim
