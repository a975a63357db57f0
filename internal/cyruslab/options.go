package cyruslab

import (
	"fmt"
	"strings"
)

// Options of a server. The zero value is what Debian's 3.6 does by default: separator ".", folders below INBOX, spool laid
// out by UniqueID, expunge delayed, delete immediate.
type Options struct {
	AltNamespace     bool
	UnixHierarchySep bool
	Hash             bool   // hashimapspool
	FullDirHash      bool   // fulldirhash
	VirtDomains      string // virtdomains: "", "userid" or "yes"; the default domain is lab.test
	SecondPartition  bool   // a partition p2 beside default
	LegacyDirs       bool   // spool laid out by name
	MetaFiles        string // metapartition_files, "header index cache annotations"; empty: no metapartition
	Archive          bool   // an archivepartition, to which "cyr_expire -A 0" moves all
	Conversations    bool
	ImmediateExpunge bool
	DelayedDelete    bool
	Syslog           bool     // what the daemons log is kept: Lab.Logged
	Extra            []string // further lines of imapd.conf; @DIR@ is Lab.Dir
	Services         []string // and of sections of cyrus.conf
	Daemons          []string
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// imapdConf is the server's imapd.conf.
func (o Options) imapdConf(dir string) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s: %s\n", key, value) }
	set("configdirectory", dir+"/conf")
	set("defaultpartition", "default")
	set("partition-default", dir+"/spool")
	if o.SecondPartition {
		set("partition-p2", dir+"/spool2")
	}
	if o.MetaFiles != "" {
		set("metapartition-default", dir+"/meta")
		set("metapartition_files", o.MetaFiles)
	}
	if o.Archive {
		set("archivepartition-default", dir+"/archive")
		set("archive_enabled", "yes")
		if o.SecondPartition {
			set("archivepartition-p2", dir+"/archive2")
		}
	}
	set("altnamespace", yesNo(o.AltNamespace))
	set("unixhierarchysep", yesNo(o.UnixHierarchySep))
	set("hashimapspool", yesNo(o.Hash))
	set("fulldirhash", yesNo(o.FullDirHash))
	if o.VirtDomains != "" {
		set("virtdomains", o.VirtDomains)
		set("defaultdomain", "lab.test")
	}
	set("mailbox_legacy_dirs", yesNo(o.LegacyDirs))
	set("conversations", yesNo(o.Conversations))
	set("expunge_mode", choose(o.ImmediateExpunge, "immediate", "delayed"))
	set("delete_mode", choose(o.DelayedDelete, "delayed", "immediate"))
	set("admins", adminUser)
	set("servername", "lab")
	set("allowplaintext", "yes")
	set("sasl_mech_list", "PLAIN LOGIN")
	set("sievedir", dir+"/sieve")
	set("lmtpsocket", dir+"/run/lmtp")
	set("idlesocket", dir+"/run/idle")
	set("notifysocket", dir+"/run/notify")
	set("proc_path", dir+"/run/proc")
	set("mboxname_lockpath", dir+"/run/lock")
	set("master_bind_errors_fatal", "yes")
	set("duplicatesuppression", "no")
	set("maxlogins_per_host", "0")
	set("maxlogins_per_user", "0")
	set("popminpoll", "0")
	set("umask", "077")
	if o.Syslog {
		set("imapidlepoll", "0") // else each change is an error: no idled runs
	}
	for _, line := range o.Extra {
		b.WriteString(strings.ReplaceAll(line, "@DIR@", dir) + "\n")
	}
	return b.String()
}

// cyrusConf is the server's cyrus.conf: what master starts.
func (o Options) cyrusConf(dir string, port int) string {
	lines := func(list []string) string { return strings.ReplaceAll(strings.Join(list, "\n  "), "@DIR@", dir) }
	return fmt.Sprintf(`START {
  recover cmd="ctl_cyrusdb -C %[1]s/imapd.conf -r"
}
SERVICES {
  imap     cmd="imapd -N -C %[1]s/imapd.conf -U 1000000" listen="127.0.0.1:%[2]d" prefork=1 maxchild=100
  lmtpunix cmd="lmtpd -a -C %[1]s/imapd.conf" listen="%[1]s/run/lmtp" prefork=0 maxchild=20
  %[3]s
}
DAEMON {
  %[4]s
}
EVENTS {
  checkpoint cmd="ctl_cyrusdb -C %[1]s/imapd.conf -c" period=30
}
`, dir, port, lines(o.Services), lines(o.Daemons))
}
