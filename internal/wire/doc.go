// Package wire is what both ends of the agent's protocol share: names as words, the lines around a file's bytes, the words of the
// extension. docs/agent.md has the protocol.
package wire
