package main

import (
	"backupfs/history"
	"backupfs/index"
)

// jsonPlace is where a message stands, in --json.
type jsonPlace struct {
	Folder string `json:"folder"`
	UID    uint32 `json:"uid"`
}

// placeJSON returns nil for no place.
func placeJSON(p history.Place) *jsonPlace {
	if p.Folder == "" {
		return nil
	}
	return &jsonPlace{p.Folder, p.UID}
}

// jsonMessage is what a message is wherever it stands, in --json.
type jsonMessage struct {
	GUID         string `json:"guid"`
	Size         int64  `json:"size"`
	InternalDate int64  `json:"internaldate"` // Unix seconds
}

func messageJSON(m index.Message) jsonMessage {
	return jsonMessage{m.GUID.String(), m.Size, m.InternalDate}
}
