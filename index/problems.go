package index

// Problem is something in the archive that could not be understood or read when it was indexed.
type Problem struct {
	Run   int
	Entry string // name of the tar entry; empty for damage of the archive
	Text  string
}

// Problems returns all, in the order of the archive.
func (ix *Index) Problems() (problems []Problem, err error) {
	err = ix.query(func(r *row) error {
		problems = append(problems, Problem{Run: int(r.nat(0)), Entry: r.text(1), Text: r.text(2)})
		return nil
	}, "SELECT run, entry, text FROM problems ORDER BY id")
	return problems, err
}
