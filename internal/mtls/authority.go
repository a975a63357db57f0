package mtls

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Authority is a private CA, in a folder with ca.pem and ca.key. It makes a folder for each side, below its own, which that side
// gets as a whole (In). It overwrites nothing.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.PrivateKey
}

const (
	caCert = "ca.pem"
	caKey  = "ca.key"

	day           = 24 * time.Hour
	authorityLife = 10 * 365 * day
	sideLife      = 5 * 365 * day
	backdate      = time.Hour // for a clock that is behind
)

// OpenAuthority opens the one in dir, which may be made by other tools. fs.ErrNotExist if there is none.
func OpenAuthority(dir string) (*Authority, error) {
	pair, err := readPair(filepath.Join(dir, caCert), filepath.Join(dir, caKey))
	if err != nil {
		return nil, err
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s: not the certificate of a CA", filepath.Join(dir, caCert))
	}
	return &Authority{dir: dir, cert: pair.Leaf, key: pair.PrivateKey}, nil
}

// NewAuthority makes one in dir, and dir if there is none. fs.ErrExist if a file of one is there.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cert, key := filepath.Join(dir, caCert), filepath.Join(dir, caKey)
	if err := errors.Join(absent(cert), absent(key)); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "backupd CA"},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(authorityLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	if err := issue(template, nil, key, cert); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// Agent makes the folder of an agent that clients reach by these names: hosts or IP addresses. fs.ErrExist if there is one by the
// first of them.
func (a *Authority) Agent(names ...string) (dir string, err error) {
	cert := &x509.Certificate{}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, name)
		}
	}
	return a.side(agentRole, cert, names)
}

// Client makes the folder of a client. The name is what a person knows it by.
func (a *Authority) Client(name string) (dir string, err error) {
	return a.side(clientRole, &x509.Certificate{}, []string{name})
}

var hostName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]*$`) })

// CheckName is an error where a name cannot be one of a host, and so no folder's.
func CheckName(name string) error {
	if net.ParseIP(name) == nil && !hostName().MatchString(name) {
		return fmt.Errorf("%q: neither a host's name nor an IP address", name)
	}
	return nil
}

// side makes the folder under another name first: it is there as a whole, or not at all.
func (a *Authority) side(r role, cert *x509.Certificate, names []string) (dir string, err error) {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return "", err
		}
	}
	cert.Subject = pkix.Name{CommonName: names[0]}
	cert.ExtKeyUsage = []x509.ExtKeyUsage{r.usage}
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	cert.NotBefore = time.Now().Add(-backdate)
	cert.NotAfter = time.Now().Add(sideLife)
	if cert.NotAfter.After(a.cert.NotAfter) {
		cert.NotAfter = a.cert.NotAfter
	}
	dir = filepath.Join(a.dir, r.name+"-"+names[0])
	if err := absent(dir); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(a.dir, ".new-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(made)
		}
	}()
	files := In(made)
	if err := issue(cert, a, files.Key, files.Cert); err != nil {
		return "", err
	}
	if err := write(files.CA, "CERTIFICATE", a.cert.Raw); err != nil {
		return "", err
	}
	return dir, os.Rename(made, dir)
}

// issue makes a key, and a certificate for it that by signs, or if that is nil the key itself.
func issue(cert *x509.Certificate, by *Authority, keyPath, certPath string) error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if by == nil {
		by = &Authority{cert: cert, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, by.cert, public, by.key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(keyPath, "PRIVATE KEY", pkcs8); err != nil {
		return err
	}
	return write(certPath, "CERTIFICATE", der)
}

func absent(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, error(&fs.PathError{Op: "make", Path: path, Err: fs.ErrExist}))
	}
	return nil
}

// write makes a file that only its owner reads.
func write(path, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	return errors.Join(err, f.Close())
}
