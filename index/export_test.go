package index

// OpenWriteSmall is OpenWrite with so little memory that a transaction spills into the file before it is committed.
func OpenWriteSmall(path string) (*Index, error) {
	params := writeParams()
	params.Set("_cache_size", "5")
	d, err := openIdent(path, params)
	if err != nil {
		return nil, err
	}
	return &Index{path: path, db: d}, nil
}

// OpenWriteFull is OpenWrite on a disk that has no room for more pages.
func OpenWriteFull(path string) (*Index, error) {
	d, err := openIdent(path, writeParams())
	if err != nil {
		return nil, err
	}
	if err := d.script("PRAGMA max_page_count = 1"); err != nil { // sqlite takes what there is for the least
		return nil, err
	}
	return &Index{path: path, db: d}, nil
}

// Tamper runs SQL on an index.
func Tamper(path, sql string) error {
	d, err := openDB(path, writeParams())
	if err != nil {
		return err
	}
	defer d.close()
	return d.script(sql)
}
