package kafka

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"mailreplica/internal/engine"
	"mailreplica/internal/fault"
)

// version is the folder of Kafka's jars, filled by scripts/engines.
const version = "kafka-4.3.1"

// java is how Kafka's programs are run.
type java struct {
	program   string
	classpath string
	archive   string // of loaded classes; empty if there is none
}

// arguments keep a broker small and quick to start: a compiler that does not optimise long, and one thread to collect garbage.
var arguments = []string{
	"-Xms64m", "-Xmx256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:ReservedCodeCacheSize=48m",
	"-Djava.awt.headless=true",
	"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn", // a page of every setting
}

// findJava finds Java and Kafka's jars, and the archive of classes; the archive is made if there is none.
func findJava(ctx context.Context) (java, error) {
	program, err := exec.LookPath("java")
	if err != nil {
		return java{}, fault.Wrap(fault.Invalid, err, "Java is not installed").WithHint("run scripts/engines kafka")
	}
	folder, err := engine.Find(version)
	if err != nil {
		return java{}, err
	}
	jars, err := filepath.Glob(filepath.Join(folder, "*.jar"))
	if err != nil || len(jars) == 0 {
		return java{}, fault.New(fault.Invalid, "%s has no jars", folder).WithHint("remove it, and run scripts/engines kafka")
	}
	j := java{program: program, classpath: strings.Join(jars, ":")} // sorted by Glob
	archive, err := archiveName(program)
	if err != nil {
		return java{}, err
	}
	archive = filepath.Join(folder, archive)
	if _, err := os.Stat(archive); err != nil {
		if err := makeArchive(ctx, j, archive); err != nil {
			return java{}, err
		}
	}
	j.archive = archive
	return j, nil
}

func (j java) command(args ...string) *exec.Cmd {
	all := append([]string{}, arguments...)
	if j.archive != "" {
		all = append(all, "-XX:SharedArchiveFile="+j.archive, "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	}
	return exec.Command(j.program, append(append(all, "-cp", j.classpath), args...)...)
}

func (j java) start(log string, args ...string) (*engine.Process, error) {
	return engine.StartProcess(j.command(args...), log)
}

// run runs a program to its end.
func (j java) run(ctx context.Context, log string, args ...string) error {
	process, err := j.start(log, args...)
	if err != nil {
		return err
	}
	select {
	case <-process.Ended():
	case <-ctx.Done():
		process.Kill()
		return fault.Wrap(fault.Interrupted, ctx.Err(), "%s was ended", args[0])
	}
	if !process.Succeeded() {
		return fault.New(fault.Internal, "%s failed; it says:\n%s", args[0], process.LogTail())
	}
	return nil
}

// archiveName changes with the Java that made the archive, for none other can read it.
func archiveName(program string) (string, error) {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "Java cannot be found")
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "Java cannot be found")
	}
	sum := fnv.New32a()
	fmt.Fprint(sum, real, info.ModTime().UnixNano(), info.Size())
	return fmt.Sprintf("classes-%08x.jsa", sum.Sum32()), nil
}

// makeArchive lets one broker run and end, with a Java that keeps the classes it loaded. Starts that use them take a third of
// the time. It is made beside its place and moved there, so that it is there whole or not at all, however many make it at once.
func makeArchive(ctx context.Context, j java, archive string) error {
	folder, err := os.MkdirTemp(filepath.Dir(archive), "part-")
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the folder of the engines cannot be written")
	}
	defer os.RemoveAll(folder)
	c := &Cluster{options: Options{Folder: folder, Brokers: 1, TLS: true, SCRAM: true}, id: strings.Repeat("A", 22), password: "x", java: j}
	if err := c.prepare(); err != nil {
		return err
	}
	b := c.brokers[0]
	if err := c.format(ctx, b); err != nil {
		return err
	}
	part := filepath.Join(folder, "classes.jsa")
	process, err := engine.StartProcess(exec.Command(j.program, append(append([]string{}, arguments...),
		"-XX:ArchiveClassesAtExit="+part, "-cp", j.classpath, "kafka.Kafka", b.settingsFile())...), b.logFile())
	if err != nil {
		return err
	}
	defer process.Kill()
	b.process = process
	if err := c.Await(ctx); err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-process.Ended():
	case <-ctx.Done():
		return fault.Wrap(fault.Interrupted, ctx.Err(), "the archive of Kafka's classes was not finished")
	}
	if err := os.Rename(part, archive); err != nil {
		return fault.Wrap(fault.Internal, err, "the archive of Kafka's classes cannot be kept")
	}
	return nil
}
