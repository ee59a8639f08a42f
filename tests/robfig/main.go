// Prints when robfig/cron v3 hits, for tests/robfig.rs: one JSON object a line, for every form of five fields in five
// zones. Where an expression hits often: around each change of the clocks, and the first day.
//
//	cd tests/robfig && go run . | gzip -9n > hits.jsonl.gz
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/robfig/cron/v3"
)

type stretch struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// seconds since the hit before, the first since From
	Hits []int64 `json:"hits"`
}

type line struct {
	Cron      string    `json:"cron"`
	Zone      string    `json:"zone"`
	Refused   bool      `json:"refused,omitempty"`
	Stretches []stretch `json:"stretches,omitempty"`
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe"}

const most = 400

func hits(s cron.Schedule, from, to time.Time, limit int) ([]int64, bool) {
	out, before := []int64{}, from.Unix()
	for t := s.Next(from.Add(-time.Second)); !t.IsZero() && !t.After(to); t = s.Next(t) {
		if len(out) == limit {
			return nil, false
		}
		out = append(out, t.Unix()-before)
		before = t.Unix()
	}
	return out, true
}

func changes(zone *time.Location, from, to time.Time) []time.Time {
	var out []time.Time
	for t := from; t.Before(to); t = t.Add(30 * time.Minute) {
		_, a := t.In(zone).Zone()
		_, b := t.Add(30 * time.Minute).In(zone).Zone()
		if a != b {
			out = append(out, t)
		}
	}
	return out
}

func field(r *rand.Rand, low, high int, names []string) string {
	one := func() string {
		n := low + r.Intn(high-low+1)
		if names != nil && r.Intn(3) == 0 {
			return names[n-low]
		}
		return fmt.Sprint(n)
	}
	span := func() string {
		a, b := low+r.Intn(high-low+1), low+r.Intn(high-low+1)
		if r.Intn(12) > 0 && a > b {
			a, b = b, a
		}
		return fmt.Sprintf("%d-%d", a, b)
	}
	part := func() string {
		switch r.Intn(8) {
		case 0:
			return span()
		case 1:
			return fmt.Sprintf("%s/%d", span(), 1+r.Intn(9))
		case 2:
			return fmt.Sprintf("%s/%d", one(), 1+r.Intn(9))
		case 3:
			return fmt.Sprintf("*/%d", 1+r.Intn(high+3))
		default:
			return one()
		}
	}
	switch r.Intn(5) {
	case 0, 1:
		return "*"
	case 2:
		return "?"
	case 3:
		return part() + "," + part()
	default:
		return part()
	}
}

func main() {
	var all []string
	for _, s := range strings.Split("@yearly @annually @monthly @weekly @daily @midnight @hourly", " ") {
		all = append(all, s)
	}
	all = append(all, "0 8 * * 1-5", "30 2 * * *", "0 0 13 * 5", "0 0 */2 * 1", "0 0 1 * */2", "*/30 * * * *", "0 0 29 2 *", "15 2 * 3,4,9,10 0",
		"0 0 * * 7", "0 24 * * *", "60 * * * *", "0 19-7 * * *", "0 0 * * sat-sun", "0 0 0 * *", "*/0 * * * *", "* * * *", "59 23 31 12 *")
	months := strings.Split("jan feb mar apr may jun jul aug sep oct nov dec", " ")
	days := strings.Split("sun mon tue wed thu fri sat", " ")
	r := rand.New(rand.NewSource(20261124))
	for len(all) < 120 {
		all = append(all, strings.Join([]string{field(r, 0, 59, nil), field(r, 0, 23, nil), field(r, 1, 31, nil), field(r, 1, 12, months), field(r, 0, 6, days)}, " "))
	}
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
	out := json.NewEncoder(os.Stdout)
	for _, text := range all {
		for _, name := range zones {
			zone, err := time.LoadLocation(name)
			if err != nil {
				panic(err)
			}
			l := line{Cron: text, Zone: name}
			s, err := cron.ParseStandard(fmt.Sprintf("CRON_TZ=%s %s", name, text))
			if err != nil {
				l.Refused = true
			} else if found, ok := hits(s, from, to, most); ok {
				l.Stretches = []stretch{{from.Unix(), to.Unix(), found}}
			} else {
				starts := append([]time.Time{from.Add(4 * time.Hour)}, changes(zone, from, to)...)
				for _, at := range starts {
					a, b := at.Add(-4*time.Hour), at.Add(26*time.Hour)
					if found, ok := hits(s, a, b, 300); ok {
						l.Stretches = append(l.Stretches, stretch{a.Unix(), b.Unix(), found})
						continue
					}
					// every minute or so: the hours of the change are enough
					a, b = at.Add(-90*time.Minute), at.Add(90*time.Minute)
					found, _ := hits(s, a, b, 1<<20)
					l.Stretches = append(l.Stretches, stretch{a.Unix(), b.Unix(), found})
				}
			}
			if err := out.Encode(l); err != nil {
				panic(err)
			}
			if l.Refused {
				break
			}
		}
	}
}
