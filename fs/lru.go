package fs

import (
	"container/list"
	"sync"
)

// lru keeps what was used last, up to a number of items and a cost. One item is kept whatever it costs: a listing that is
// too large to keep would otherwise be made again for each piece of it. It is safe for concurrent use.
type lru[K comparable, V any] struct {
	maxItems int
	maxCost  int64

	mu    sync.Mutex
	cost  int64
	order list.List // of *item[K, V], the last used in front
	items map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
	cost  int64
}

func newLRU[K comparable, V any](maxItems int, maxCost int64) *lru[K, V] {
	return &lru[K, V]{maxItems: maxItems, maxCost: maxCost, items: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (v V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.items[key]
	if e == nil {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*item[K, V]).value, true
}

// put keeps v. Of two that are put under one key the first stays.
func (l *lru[K, V]) put(key K, v V, cost int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.items[key] != nil {
		return
	}
	l.items[key] = l.order.PushFront(&item[K, V]{key, v, cost})
	l.cost += cost
	for l.order.Len() > 1 && (l.order.Len() > l.maxItems || l.cost > l.maxCost) {
		last := l.order.Remove(l.order.Back()).(*item[K, V])
		l.cost -= last.cost
		delete(l.items, last.key)
	}
}

// find returns the first that match accepts, the last used first.
func (l *lru[K, V]) find(match func(K, V) bool) (v V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.order.Front(); e != nil; e = e.Next() {
		if it := e.Value.(*item[K, V]); match(it.key, it.value) {
			l.order.MoveToFront(e)
			return it.value, true
		}
	}
	return v, false
}
