package backup

import (
	"context"
	"fmt"
	"slices"

	"backupfs/cyrus"
	"backupfs/index"
)

// userFiles stores the user's own files, seen and sub, that changed. They are small and compared by their digests.
func (r *run) userFiles(ctx context.Context) error {
	had, known := make(map[string]index.Meta), make(map[string]cyrus.GUID)
	if r.last.Run > 0 {
		metas, err := r.ix.Metas(0, r.last.Run)
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		for _, m := range metas {
			had[m.Name], known[m.Name] = m, m.SHA1
		}
	}
	files, err := r.src.UserFiles(ctx, r.user.Name, known)
	if err != nil {
		return r.nobody(ctx, err)
	}
	names := []string{"seen", "sub"}
	for _, f := range files {
		if f.Err != nil {
			r.problem(f.Name, 0, f.Err)
		} else if digest, ok := known[f.Name]; ok && digest == f.SHA1 { // it came without its bytes
			names = slices.DeleteFunc(names, func(name string) bool { return name == f.Name })
		}
	}
	_, err = r.storeFiles("meta/", names, files, had)
	return err
}
