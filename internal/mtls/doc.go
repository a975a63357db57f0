// Package mtls makes both sides of a connection prove who they are: TLS 1.3, certificates on either side, all of one private CA.
//
// A side has three files in a folder of its own: ca.pem, cert.pem, key.pem. Its certificate says which side it is, and the other
// insists on it: with an agent's key nobody can read from another agent. What is not used: the host's own list of CAs, resumed
// sessions (who was let in once would come in again), lists of what was revoked (make a new CA).
package mtls
