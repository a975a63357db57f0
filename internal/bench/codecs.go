package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
)

var benchLine = regexp.MustCompile(`(?m)^Benchmark(Inflate|Deflate)/(\w+)\S*\s.*\s([0-9.]+) MB/s`)

// codecs runs the benchmark of package deflate: a member of 256 KiB of composed mail, level 6, one processor.
func (b *bench) codecs() error {
	cmd := exec.Command("go", "test", "-run", "-", "-bench", ".", "-count", strconv.Itoa(b.rounds), "./internal/deflate")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return failure(cmd, err, out)
	}
	speeds := map[[2]string][]float64{}
	var names []string
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return err
		}
		speeds[[2]string{m[1], m[2]}] = append(speeds[[2]string{m[1], m[2]}], v)
		if !slices.Contains(names, m[2]) {
			names = append(names, m[2])
		}
	}
	slices.Sort(names)
	t := table{{"codec", "inflate MB/s", "deflate MB/s"}}
	for _, name := range names {
		in, de := speeds[[2]string{"Inflate", name}], speeds[[2]string{"Deflate", name}]
		if len(in) == 0 || len(de) == 0 {
			return fmt.Errorf("%s: a direction is missing: %s", name, out)
		}
		t.row(name, fmt.Sprintf("%.0f", median(in)), fmt.Sprintf("%.0f", median(de)))
	}
	if len(names) == 0 {
		return fmt.Errorf("no figures: %s", out)
	}
	fmt.Fprint(b.out, t)
	return nil
}
