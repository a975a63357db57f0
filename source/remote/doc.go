// Package remote is a source.Source on another host: an agent, or Cyrus's own backupcyrusd. docs/agent.md has the protocol.
//
// With the agent's extension a snapshot is as that of a local spool, since the agent makes it so. With backupcyrusd alone a snapshot is the
// meta files of one moment, then the messages; if one of these cannot be had or is not what the index says, the meta files are asked for
// again, and count if they do not list it any more.
//
// Invariants:
//   - What a server sends is bounded before it is held: lines and lists by constants, files by what has arrived. Large messages go to
//     a temporary file.
//   - A file's bytes are handed on only if they hash to what the server says.
//   - A connection that was left within an answer is closed and never used again. What was delivered before it broke is not asked for again.
//
// A connection serves one request at a time; as many are open as calls go on side by side.
package remote
