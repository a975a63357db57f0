package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// become gives root's rights up for those of the server's user, for good. Who is not root stays who he is.
func become(uid, gid int) error {
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	groups := []int{gid}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if groups, err = groupsOf(u); err != nil {
			return fmt.Errorf("groups of user %s: %w", u.Username, err)
		}
	}
	err := syscall.Setgroups(groups)
	if err == nil {
		err = syscall.Setgid(groups[0])
	}
	if err == nil {
		err = syscall.Setuid(uid)
	}
	if err != nil {
		return fmt.Errorf("cannot go on as user %d: %w", uid, err)
	}
	return nil
}

// groupsOf are a user's groups, the primary one first.
func groupsOf(u *user.User) ([]int, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	groups := make([]int, 0, len(ids)+1)
	for _, id := range append([]string{u.Gid}, ids...) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(groups, n) {
			groups = append(groups, n)
		}
	}
	return groups, nil
}
