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

// Tamper runs SQL on an index.
func Tamper(path, sql string) error {
	d, err := openDB(path, writeParams())
	if err != nil {
		return err
	}
	defer d.close()
	return d.script(sql)
}
