// Package indextest gives tests a store whose clean-up proves that nothing was left wrong, and archives of chosen mail that
// need no server.
package indextest
