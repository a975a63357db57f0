package index

// Together calls f, which asks an index that is open for reading several things, in one transaction. For each by itself sqlite takes its locks,
// looks for the journal of a crash, and gives the locks back, in eight system calls. f must be short: nobody can commit to the index
// meanwhile. What others ask meanwhile is in the same transaction.
func (ix *Index) Together(f func() error) (err error) {
	if ix.opened == nil || !ix.begin() {
		return f()
	}
	defer func() {
		if failed := ix.end(); err == nil {
			err = failed
		}
	}()
	return f()
}

// begin begins the transaction; it refuses within another one.
func (ix *Index) begin() bool {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil {
		return false
	}
	_, err := ix.db.exec("BEGIN")
	return err == nil
}

// end ends it, unless sqlite has done so itself, as where the disk failed.
func (ix *Index) end() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil || ix.db.conn.AutoCommit() {
		return nil
	}
	_, err := ix.db.exec("COMMIT")
	return err
}
