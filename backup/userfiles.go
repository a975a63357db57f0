package backup

import (
	"context"
	"fmt"
	"slices"

	"backupfs/index"
)

// userFiles stores the user's own files, seen and sub, that changed. They are small and compared by content.
func (r *run) userFiles(ctx context.Context) error {
	files, err := r.src.UserFiles(ctx, r.user.Name, nil)
	if err != nil {
		return r.nobody(ctx, err)
	}
	had := make(map[string]index.Meta)
	if r.last.Run > 0 {
		metas, err := r.ix.Metas(0, r.last.Run)
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		for _, m := range metas {
			had[m.Name] = m
		}
	}
	names := []string{"seen", "sub"}
	for _, f := range files {
		if f.Err != nil { // it is there, and stays as the run before left it
			r.problem(f.Name, 0, f.Err)
			names = slices.DeleteFunc(names, func(name string) bool { return name == f.Name })
		}
	}
	_, err = r.storeFiles("meta/", names, files, had)
	return err
}
