package truth

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Truth is what a server held at one moment.
type Truth struct {
	Sep          string           `json:"sep"`          // separator in the folders' names
	AltNamespace bool             `json:"altnamespace"` // the users' own folders are not below INBOX
	Users        map[string]*User `json:"users"`
}

// User is what one user held.
type User struct {
	Folders    map[string]*Folder `json:"folders"` // by IMAP name, modified UTF-7
	Subscribed []string           `json:"subscribed"`
}

// Folder is one mailbox.
type Folder struct {
	DotName     string    `json:"dotname,omitempty"` // as it is archived: INBOX.v1^2 notes
	UniqueID    string    `json:"uniqueid"`
	UIDValidity int64     `json:"uidvalidity"`
	Messages    []Message `json:"messages"` // by UID

	// Metadata is what the user sees, by entry ("/private/comment"), without the server's own ("/shared/vendor/cmu/…"); nil: nobody asked.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Message is one message of a folder.
type Message struct {
	UID          uint32   `json:"uid"`
	Flags        []string `json:"flags"` // \Recent may be among them, and says nothing
	InternalDate Date     `json:"internaldate"`
	Size         int64    `json:"size"`
	SHA1         string   `json:"sha1"`

	// Annotations are what the user sees, by entry and attribute ("/comment value.priv"), without the server's own; nil: there are none, or nobody asked.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Date is in Unix seconds. IMAP's date-time is read too.
type Date int64

// UnmarshalJSON reads a number or IMAP's date-time.
func (d *Date) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		return json.Unmarshal(b, (*int64)(d))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t, err := time.Parse("2-Jan-2006 15:04:05 -0700", strings.Trim(s, ` "`))
	*d = Date(t.Unix())
	return err
}

// UnmarshalJSON fills in what the files of Cyrus 3.13 leave out.
func (t *Truth) UnmarshalJSON(b []byte) error {
	type plain Truth
	p := plain{Sep: "/", AltNamespace: true}
	err := json.Unmarshal(b, &p)
	*t = Truth(p)
	return err
}

// UnmarshalJSON reads all three shapes.
func (u *User) UnmarshalJSON(b []byte) error {
	var v struct {
		Folders, Mailboxes        map[string]*Folder
		Subscribed, Subscriptions []string
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	u.Folders, u.Subscribed = v.Folders, v.Subscribed
	if v.Mailboxes != nil {
		u.Folders = v.Mailboxes
	}
	if v.Subscriptions != nil {
		u.Subscribed = v.Subscriptions
	}
	return nil
}

// UnmarshalJSON reads all three shapes. In that of 3.6 "messages" is a number, and the list is called messages_list.
func (f *Folder) UnmarshalJSON(b []byte) error {
	var v struct {
		DotName             string
		UniqueID, MailboxID string
		UIDValidity         int64
		Messages            json.RawMessage
		List                []Message `json:"messages_list"`
		Metadata            map[string]string
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*f = Folder{DotName: v.DotName, UniqueID: v.UniqueID + v.MailboxID, UIDValidity: v.UIDValidity, Messages: v.List, Metadata: v.Metadata}
	if v.List == nil && len(v.Messages) > 0 {
		return json.Unmarshal(v.Messages, &f.Messages)
	}
	return nil
}

// Load reads a truth file.
func Load(path string) (*Truth, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := new(Truth)
	if err := json.Unmarshal(b, t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Levels splits an IMAP name of a user's own folder into the levels of the dated tree: INBOX on top, a dot inside a level
// written "^".
func Levels(name, sep string) []string {
	levels := strings.Split(name, sep)
	if sep != "." {
		for i, l := range levels {
			levels[i] = strings.ReplaceAll(l, ".", "^")
		}
	}
	if levels[0] != "INBOX" {
		levels = append([]string{"INBOX"}, levels...)
	}
	return levels
}
